import java.util.Map;

/**
 * The workload rewire on a Java virtual machine: the same operations as in {@code harness/src/workload/rewire.rs}, drawn from the same
 * generators, on one table that all threads share.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms14m -Xmx14m -cp /tmp/peers Rewire nodes=100000 threads=1 seed=42
 * harness run rewire --heap-size 14M --peer hotspot-serial
 * </pre>
 *
 * <p>A node takes 32 bytes here (a 12-byte header, two compressed references, a word, padding), as in gc-marksweep; an entry of the
 * table 4, and 8 there: half the memory to be read at random.
 */
public final class Rewire {
    /** Operations drawn from one generator. */
    private static final long BLOCK = 4096;
    /** Operations for each node of the table. */
    private static final long TURNS = 100;

    private static final class Node {
        Node a;
        Node b;
        long word;
    }

    private static Peer.Outcome run(Peer.Input input) {
        int nodes = (int) input.get("nodes");
        long operations = TURNS * nodes;
        long blocks = (operations + BLOCK - 1) / BLOCK;
        long seed = input.get("seed");
        long checksum = Peer.onThreads(1, builder -> {
            Node[] table = build(nodes, seed);
            long sum = 0;
            for (long part : Peer.onThreads(input.threads(), thread -> {
                long[] share = input.share(blocks, thread);
                long digest = 0;
                for (long block = share[0]; block < share[1]; block++) {
                    digest += rewire(table, Math.min(BLOCK, operations - block * BLOCK), new Peer.Generator(seed, block));
                }
                return digest;
            })) {
                sum += part;
            }
            return sum;
        }).get(0);
        return new Peer.Outcome(checksum, operations, nodes + 1L, 32L * nodes);
    }

    /** Makes the nodes, then points each one's field a at a random one. */
    private static Node[] build(int nodes, long seed) {
        Node[] table = new Node[nodes];
        for (int index = 0; index < nodes; index++) {
            Node node = new Node();
            node.word = index;
            table[index] = node;
        }
        // Streams of the operations count from 0; this one is none of them.
        Peer.Generator random = new Peer.Generator(seed, -1);
        for (Node node : table) {
            node.a = table[random.below(nodes)];
        }
        return table;
    }

    /** One block of operations; a digest of the words seen. */
    private static long rewire(Node[] table, long count, Peer.Generator random) {
        long sum = 0;
        for (long operation = 0; operation < count; operation++) {
            Node moved = table[random.below(table.length)].a;
            table[random.below(table.length)].b = moved;
            sum += Peer.mix(moved.word);
        }
        return sum;
    }

    public static void main(String[] arguments) {
        Peer.execute("Rewire", Map.of("nodes", 100_000L), Rewire::run, arguments);
    }
}
