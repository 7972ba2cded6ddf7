import java.util.Map;

/**
 * The program reference-changes on a Java virtual machine: the same operations as in {@code harness/src/experiment/count_traffic.rs}, on one
 * thread.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms16m -Xmx16m -cp /tmp/peers ReferenceChanges nodes=10000 operations=1500000 change=1
 * harness claims count-traffic --peer hotspot-serial
 * </pre>
 */
public final class ReferenceChanges {
    private static final long STRIDE = 7919;

    private static final class Node {
        Node a;
        Node b;
        final long word;

        Node(long word) {
            this.word = word;
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        int nodes = (int) input.get("nodes");
        long operations = input.get("operations");
        boolean change = input.get("change") == 1;
        int start = (int) Peer.mix(input.get("seed"));
        long sum = Peer.onThreads(1, thread -> work(table(nodes), operations, change, start)).get(0);
        return new Peer.Outcome(Peer.mix(sum), operations, nodes + 1L, 32L * nodes);
    }

    private static Node[] table(int nodes) {
        Node[] table = new Node[nodes];
        for (int number = 0; number < nodes; number++) {
            table[number] = new Node(number);
        }
        for (int number = 0; number < nodes; number++) {
            table[number].a = table[(int) (number * STRIDE % nodes)];
        }
        return table;
    }

    private static long work(Node[] table, long operations, boolean change, int state) {
        long sum = 0;
        for (long operation = 0; operation < operations; operation++) {
            state = state * 1664525 + 1013904223;
            Node moved = table[(int) (((state & 0xffffffffL) * table.length) >>> 32)].a;
            state = state * 1664525 + 1013904223;
            Node to = table[(int) (((state & 0xffffffffL) * table.length) >>> 32)];
            if (change) {
                to.b = moved;
            }
            sum += moved.word ^ to.word;
        }
        return sum;
    }

    public static void main(String[] arguments) {
        Peer.execute("ReferenceChanges", Map.of("nodes", 10_000L, "operations", 1_500_000L, "change", 1L), ReferenceChanges::run, arguments);
    }
}
