import java.util.Arrays;
import java.util.Map;

/**
 * The program reference-changes on a Java virtual machine: the same operations as in {@code harness/src/experiment/count_traffic.rs}, on one
 * thread.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms16m -Xmx16m -cp /tmp/peers ReferenceChanges nodes=5000 rounds=51
 * harness claims count-traffic --peer hotspot-serial
 * </pre>
 *
 * <p>A variable is what the compiler makes of it. So the stretch that is about variables is one more of reads, and not timed.
 */
public final class ReferenceChanges {
    private static final long STRIDE = 7919;
    private static final int STRETCH = 10_000;

    private static final class Node {
        Node a;
        Node b;
        final long word;

        Node(long word) {
            this.word = word;
        }
    }

    /** A walk that goes on from stretch to stretch, and how long those took that are timed. */
    private static final class Walk {
        final Node[] table;
        int state;
        long sum;
        final long[] readTimes;
        final long[] fieldTimes;

        Walk(int nodes, int rounds, long seed) {
            table = new Node[nodes];
            for (int number = 0; number < nodes; number++) {
                table[number] = new Node(number);
            }
            for (int number = 0; number < nodes; number++) {
                table[number].a = table[(int) (number * STRIDE % nodes)];
            }
            state = (int) Peer.mix(seed);
            readTimes = new long[rounds];
            fieldTimes = new long[rounds];
        }

        void round(int number) {
            long start = System.nanoTime();
            read();
            readTimes[number] = System.nanoTime() - start;
            read();
            start = System.nanoTime();
            store();
            fieldTimes[number] = System.nanoTime() - start;
        }

        private void read() {
            Node[] table = this.table;
            int state = this.state;
            long sum = this.sum;
            for (int operation = 0; operation < STRETCH; operation++) {
                state = state * 1664525 + 1013904223;
                Node moved = table[(int) (((state & 0xffffffffL) * table.length) >>> 32)].a;
                state = state * 1664525 + 1013904223;
                Node to = table[(int) (((state & 0xffffffffL) * table.length) >>> 32)];
                sum += moved.word ^ to.word;
            }
            this.state = state;
            this.sum = sum;
        }

        private void store() {
            Node[] table = this.table;
            int state = this.state;
            long sum = this.sum;
            for (int operation = 0; operation < STRETCH; operation++) {
                state = state * 1664525 + 1013904223;
                Node moved = table[(int) (((state & 0xffffffffL) * table.length) >>> 32)].a;
                state = state * 1664525 + 1013904223;
                Node to = table[(int) (((state & 0xffffffffL) * table.length) >>> 32)];
                sum += moved.word ^ to.word;
                to.b = moved;
            }
            this.state = state;
            this.sum = sum;
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        int nodes = (int) input.get("nodes");
        int rounds = (int) input.get("rounds");
        Walk walk = Peer.onThreads(1, thread -> {
            Walk one = new Walk(nodes, rounds, input.get("seed"));
            for (int round = 0; round < rounds; round++) {
                one.round(round);
            }
            return one;
        }).get(0);
        return new Peer.Outcome(Peer.mix(walk.sum), 3L * rounds * STRETCH, nodes + 1L, 32L * nodes)
                .observe("read_ns", median(walk.readTimes))
                .observe("field_ns", median(walk.fieldTimes));
    }

    /** The upper median; sorts. */
    private static long median(long[] values) {
        Arrays.sort(values);
        return values[values.length / 2];
    }

    public static void main(String[] arguments) {
        Peer.execute("ReferenceChanges", Map.of("nodes", 5_000L, "rounds", 51L), ReferenceChanges::run, arguments);
    }
}
