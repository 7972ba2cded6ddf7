import java.util.Map;

/**
 * The workload gcbench on a Java virtual machine: the same trees and the same array as in
 * {@code harness/src/workload/gcbench.rs}, split over threads in the same way.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms52m -Xmx52m -cp /tmp/peers GcBench depth=16 array=500000 threads=1
 * harness run gcbench --heap-size 52M --peer hotspot-serial
 * </pre>
 *
 * <p>A node takes 32 bytes here (a 12-byte header, two compressed references, a word, padding), as in gc-marksweep. Both edges of every
 * tree are walked, the long-lived tree is counted and the array summed at the end.
 */
public final class GcBench {
    private static final int MIN_DEPTH = 4;

    private static final class Node {
        Node left;
        Node right;
        /** For the original's two 32-bit integers. */
        long word;

        Node() {}

        Node(Node left, Node right) {
            this.left = left;
            this.right = right;
        }

        long count() {
            long nodes = 1;
            if (left != null) {
                nodes += left.count();
            }
            if (right != null) {
                nodes += right.count();
            }
            return nodes;
        }

        /** The lengths of the left and the right edge, in nodes. */
        long edges() {
            long length = 0;
            for (Node node = this; node != null; node = node.left) {
                length++;
            }
            for (Node node = this; node != null; node = node.right) {
                length++;
            }
            return length;
        }
    }

    /** From the leaves up. */
    private static Node buildUp(int depth) {
        return depth == 0 ? new Node() : new Node(buildUp(depth - 1), buildUp(depth - 1));
    }

    /** From the root down: both children first, then each one's own. */
    private static void populate(Node node, int depth) {
        if (depth == 0) {
            return;
        }
        node.left = new Node();
        node.right = new Node();
        populate(node.left, depth - 1);
        populate(node.right, depth - 1);
    }

    /** Nodes of a full tree. */
    private static long nodes(int depth) {
        return (2L << depth) - 1;
    }

    /** Trees of a depth in each half. */
    private static long trees(int depth, int stretchDepth) {
        return 2 * nodes(stretchDepth) / nodes(depth);
    }

    private static Peer.Outcome run(Peer.Input input) {
        int depth = (int) input.get("depth");
        int length = (int) input.get("array");
        int stretchDepth = depth + 2;
        long[] results = Peer.onThreads(1, thread -> {
            // As in the original and on the other heaps, nobody adds this one up: its edges are walked and it dies.
            long stretch = buildUp(stretchDepth).edges();
            if (stretch != 2L * (stretchDepth + 1)) {
                throw new IllegalStateException("a stretch tree with edges of " + stretch);
            }
            Node longLived = new Node();
            populate(longLived, depth);
            double[] array = new double[length];
            for (int index = 0; index < length / 2; index++) {
                array[index] = 1.0 / index;
            }
            long edges = 0;
            for (long part : Peer.onThreads(input.threads(), part -> shortLived(input, depth, stretchDepth, part))) {
                edges += part;
            }
            long survivors = longLived.count();
            long sum = 0;
            for (double number : array) {
                sum += Peer.mix(Double.doubleToRawLongBits(number));
            }
            return new long[] {survivors, sum, edges};
        }).get(0);

        long nodes = nodes(stretchDepth) + results[0];
        for (int d = MIN_DEPTH; d <= depth; d += 2) {
            nodes += 2 * trees(d, stretchDepth) * nodes(d);
        }
        long checksum = Peer.mix(Peer.mix(results[0] ^ Peer.mix(results[1])) ^ results[2]);
        return new Peer.Outcome(checksum, nodes, nodes + 1, 24 * nodes + 8L * length);
    }

    /** One thread's part of the short-lived trees; the lengths of their edges, summed. */
    private static long shortLived(Peer.Input input, int maxDepth, int stretchDepth, int thread) {
        long sum = 0;
        for (int depth = MIN_DEPTH; depth <= maxDepth; depth += 2) {
            long[] trees = input.share(trees(depth, stretchDepth), thread);
            for (long tree = trees[0]; tree < trees[1]; tree++) {
                Node root = new Node();
                populate(root, depth);
                sum += root.edges();
            }
            for (long tree = trees[0]; tree < trees[1]; tree++) {
                sum += buildUp(depth).edges();
            }
        }
        return sum;
    }

    public static void main(String[] arguments) {
        Peer.execute("GcBench", Map.of("depth", 16L, "array", 500_000L), GcBench::run, arguments);
    }
}
