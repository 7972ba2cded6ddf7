import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The workload binary-trees on a Java virtual machine: the same trees in the same order as in
 * {@code harness/src/workload/binary_trees.rs}, split over threads in the same way.
 *
 * <p>By hand, at the heap size to be compared:
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC   -Xms64m -Xmx64m -cp /tmp/peers BinaryTrees depth=18 threads=1
 * java -XX:+UseParallelGC -Xms64m -Xmx64m -cp /tmp/peers BinaryTrees depth=18 threads=1
 * harness run binary-trees:depth=18 --heap-size 64M --peer hotspot-serial,hotspot-parallel
 * </pre>
 *
 * <p>A node takes 24 bytes here (a 12-byte header, two compressed references, padding), and 32 in gc-marksweep (an 8-byte
 * header, two references of 8 bytes, padding). The nodes of every tree are counted, and the checksum depends on each count, so that no tree can be
 * optimised away.
 */
public final class BinaryTrees {
    private static final int MIN_DEPTH = 4;

    private static final class Node {
        final Node left;
        final Node right;

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
    }

    private static Node build(int depth) {
        return depth == 0 ? new Node(null, null) : new Node(build(depth - 1), build(depth - 1));
    }

    private static Peer.Outcome run(Peer.Input input) {
        int depth = (int) input.get("depth");
        long stretch = Peer.onThreads(1, thread -> build(depth + 1).count()).get(0);
        List<Long> counts = new ArrayList<>();
        Peer.onThreads(1, thread -> {
            Node longLived = build(depth);
            List<long[]> parts = Peer.onThreads(input.threads(), part -> shortLived(input, depth, part));
            counts.add(longLived.count());
            for (int index = 0; index < parts.get(0).length; index++) {
                long nodes = 0;
                for (long[] part : parts) {
                    nodes += part[index];
                }
                counts.add(nodes);
            }
            return null;
        });

        long checksum = Peer.mix(stretch);
        long operations = stretch;
        for (long nodes : counts) {
            checksum = Peer.mix(checksum ^ nodes);
            operations += nodes;
        }
        return new Peer.Outcome(checksum, operations, operations, 16 * operations);
    }

    /** One thread's part of the short-lived trees: how many nodes it counted, for each depth. */
    private static long[] shortLived(Peer.Input input, int maxDepth, int thread) {
        long[] counts = new long[(maxDepth - MIN_DEPTH) / 2 + 1];
        for (int depth = MIN_DEPTH; depth <= maxDepth; depth += 2) {
            long[] trees = input.share(1L << (maxDepth - depth + MIN_DEPTH), thread);
            long nodes = 0;
            for (long tree = trees[0]; tree < trees[1]; tree++) {
                nodes += build(depth).count();
            }
            counts[(depth - MIN_DEPTH) / 2] = nodes;
        }
        return counts;
    }

    public static void main(String[] arguments) {
        Peer.execute("BinaryTrees", Map.of("depth", 16L), BinaryTrees::run, arguments);
    }
}
