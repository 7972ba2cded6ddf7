import java.util.Map;

/**
 * The workload shared-graph on a Java virtual machine: the same walks through the same graph as in {@code harness/src/workload/shared_graph.rs},
 * drawn from the same generators, split over threads in the same way.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms16m -Xmx16m -cp /tmp/peers SharedGraph nodes=100000 steps=10000000 threads=1
 * harness run shared-graph --heap-size 16M --peer hotspot-serial
 * </pre>
 *
 * <p>A node takes 40 bytes here (a 12-byte header, four compressed references, a word, padding), and 48 in gc-marksweep. A field has no
 * number here by which to choose it, so that a step branches where the heaps compute an address. A local costs nothing, so that {@code rooted} is read and
 * changes nothing.
 */
public final class SharedGraph {
    /** Steps of one walk. */
    private static final long WALK = 4096;

    private static final class Node {
        Node first;
        Node second;
        Node third;
        Node fourth;
        long word;

        Node follow(long edge) {
            switch ((int) edge) {
                case 0:
                    return first;
                case 1:
                    return second;
                case 2:
                    return third;
                default:
                    return fourth;
            }
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        int nodes = (int) input.get("nodes");
        long steps = input.get("steps");
        long walks = (steps + WALK - 1) / WALK;
        long seed = input.get("seed");
        long checksum = Peer.onThreads(1, builder -> {
            Node[] table = build(nodes, seed);
            long sum = 0;
            for (long part : Peer.onThreads(input.threads(), thread -> {
                long[] share = input.share(walks, thread);
                long digest = 0;
                for (long walk = share[0]; walk < share[1]; walk++) {
                    digest += walk(table, Math.min(WALK, steps - walk * WALK), new Peer.Generator(seed, walk));
                }
                return digest;
            })) {
                sum += part;
            }
            return sum;
        }).get(0);
        return new Peer.Outcome(checksum, steps, nodes + 1L, 48L * nodes);
    }

    /** Makes the nodes, then their edges. */
    private static Node[] build(int nodes, long seed) {
        Node[] table = new Node[nodes];
        for (int index = 0; index < nodes; index++) {
            Node node = new Node();
            node.word = index;
            table[index] = node;
        }
        // Streams of the walks count from 0; this one is none of them.
        Peer.Generator random = new Peer.Generator(seed, -1);
        for (Node node : table) {
            node.first = table[random.below(nodes)];
            node.second = table[random.below(nodes)];
            node.third = table[random.below(nodes)];
            node.fourth = table[random.below(nodes)];
        }
        return table;
    }

    /** One walk; a digest of the words seen. */
    private static long walk(Node[] table, long steps, Peer.Generator random) {
        Node node = table[random.below(table.length)];
        long sum = 0;
        for (long step = 0; step < steps; step++) {
            long edge = random.next() & 3;
            sum += Peer.mix(node.word);
            node = node.follow(edge);
        }
        return sum;
    }

    public static void main(String[] arguments) {
        Map<String, Long> parameters = Map.of("nodes", 100_000L, "steps", 10_000_000L, "rooted", 1L);
        Peer.execute("SharedGraph", parameters, SharedGraph::run, arguments);
    }
}
