import java.util.Map;

/**
 * The workload quads on a Java virtual machine: the same trees in the same order as in {@code harness/src/workload/quads.rs}, split over threads
 * in the same way.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms42m -Xmx42m -cp /tmp/peers Quads depth=9 rounds=40 share=13 threads=1
 * harness run quads --heap-size 42M --peer hotspot-serial
 * </pre>
 *
 * <p>A node takes 40 bytes here (a 12-byte header, four compressed references, a word, padding), and 48 in gc-marksweep (an 8-byte header, four references
 * of 8 bytes, a word); an entry of a round's table 4, and 8 there.
 */
public final class Quads {
    /** Depth of the trees of a round. */
    private static final int SHORT_LIVED = 3;

    private static final class Node {
        final Node northWest;
        final Node northEast;
        final Node southWest;
        final Node southEast;
        final long word;

        Node(Node northWest, Node northEast, Node southWest, Node southEast, long word) {
            this.northWest = northWest;
            this.northEast = northEast;
            this.southWest = southWest;
            this.southEast = southEast;
            this.word = word;
        }

        /** Of the words of a tree. */
        long digest() {
            long sum = Peer.mix(word);
            if (northWest != null) {
                sum += northWest.digest() + northEast.digest() + southWest.digest() + southEast.digest();
            }
            return sum;
        }
    }

    /** From the leaves up, its words derived from {@code label}. */
    private static Node build(int depth, long label) {
        if (depth == 0) {
            return new Node(null, null, null, null, label);
        }
        long first = 5 * label;
        return new Node(
                build(depth - 1, first),
                build(depth - 1, first + 1),
                build(depth - 1, first + 2),
                build(depth - 1, first + 3),
                label);
    }

    /** Nodes of a full tree. */
    private static long nodes(int depth) {
        return ((1L << (2 * (depth + 1))) - 1) / 3;
    }

    private static Peer.Outcome run(Peer.Input input) {
        int depth = (int) input.get("depth");
        long rounds = input.get("rounds");
        long trees = nodes(depth) * input.get("share") / 100 / nodes(SHORT_LIVED);
        long digest = Peer.onThreads(1, builder -> {
            Node resident = build(depth, 0);
            long sum = 0;
            for (long part : Peer.onThreads(input.threads(), thread -> shortLived(input.share(trees, thread), rounds))) {
                sum += part;
            }
            return sum + resident.digest();
        }).get(0);
        long nodes = nodes(depth) + rounds * trees * nodes(SHORT_LIVED);
        return new Peer.Outcome(
                Peer.mix(digest), nodes, nodes + rounds * input.threads(), 40 * nodes + 8 * rounds * trees);
    }

    /** One thread's part of all rounds. */
    private static long shortLived(long[] trees, long rounds) {
        long sum = 0;
        for (long round = 0; round < rounds; round++) {
            Node[] table = new Node[(int) (trees[1] - trees[0])];
            for (int slot = 0; slot < table.length; slot++) {
                table[slot] = build(SHORT_LIVED, Peer.mix(round) ^ (trees[0] + slot));
            }
            for (Node tree : table) {
                sum += tree.digest();
            }
        }
        return sum;
    }

    public static void main(String[] arguments) {
        Peer.execute("Quads", Map.of("depth", 9L, "rounds", 40L, "share", 13L), Quads::run, arguments);
    }
}
