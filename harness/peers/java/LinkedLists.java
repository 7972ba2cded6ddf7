import java.util.List;
import java.util.Map;

/**
 * The workload list on a Java virtual machine: the same lists as in {@code harness/src/workload/list.rs}, split over threads in the same
 * way.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms131m -Xmx131m -cp /tmp/peers LinkedLists nodes=2000000 rounds=5 keep=0 threads=1
 * harness run list --heap-size 131M --peer hotspot-serial
 * </pre>
 *
 * <p>A node takes 24 bytes here (a 12-byte header, a compressed reference, a word), and 32 in gc-marksweep (an 8-byte header, a reference of
 * 8 bytes, a word, padding).
 */
public final class LinkedLists {
    private static final class Node {
        final Node next;
        final long word;

        Node(Node next, long word) {
            this.next = next;
            this.word = word;
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        long nodes = input.get("nodes");
        int rounds = (int) input.get("rounds");
        boolean keep = input.get("keep") == 1;
        List<Long> sums = Peer.onThreads(input.threads(), thread -> {
            long[] values = input.share(nodes, thread);
            Node[] kept = new Node[rounds];
            long sum = 0;
            for (int round = 0; round < rounds; round++) {
                Node list = null;
                for (long value = values[0]; value < values[1]; value++) {
                    list = new Node(list, value + round * nodes);
                }
                sum += walk(list);
                if (keep) {
                    kept[round] = list;
                }
            }
            return sum;
        });
        long checksum = 0;
        for (long sum : sums) {
            checksum += sum;
        }
        long arrays = input.threads();
        return new Peer.Outcome(
                checksum, nodes * rounds, nodes * rounds + arrays, 16 * nodes * rounds + 8L * rounds * arrays);
    }

    /** A digest of the list's words. */
    private static long walk(Node list) {
        long sum = 0;
        for (Node node = list; node != null; node = node.next) {
            sum += Peer.mix(node.word);
        }
        return sum;
    }

    public static void main(String[] arguments) {
        Map<String, Long> parameters = Map.of("nodes", 2_000_000L, "rounds", 5L, "keep", 0L);
        Peer.execute("LinkedLists", parameters, LinkedLists::run, arguments);
    }
}
