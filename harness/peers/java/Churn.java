import java.util.List;
import java.util.Map;

/**
 * The workload churn on a Java virtual machine: the same replacements as in {@code harness/src/workload/churn.rs}, drawn from the same
 * generators, a table for each thread.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms27m -Xmx27m -cp /tmp/peers Churn nodes=100000 threads=1 seed=42
 * harness run churn --heap-size 27M --peer hotspot-serial
 * </pre>
 *
 * <p>A node takes 32 bytes here (a 12-byte header, two compressed references, a word, padding), as in gc-marksweep; an entry of the
 * table 4, and 8 there.
 */
public final class Churn {
    /** Operations for each node of the table. */
    private static final long TURNS = 20;

    private static final class Node {
        Node a;
        Node b;
        final long word;

        Node(Node a, Node b, long word) {
            this.a = a;
            this.b = b;
            this.word = word;
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        long nodes = input.get("nodes");
        List<Long> sums = Peer.onThreads(input.threads(), thread -> {
            long[] values = input.share(nodes, thread);
            return churn(nodes, values, new Peer.Generator(input.get("seed"), thread));
        });
        long checksum = 0;
        for (long sum : sums) {
            checksum = Peer.mix(checksum ^ sum);
        }
        long tables = Math.min(input.threads(), nodes);
        long replacements = TURNS * nodes;
        return new Peer.Outcome(
                checksum,
                replacements,
                nodes + replacements + tables,
                24 * (nodes + replacements) + 8 * nodes);
    }

    private static long churn(long nodes, long[] values, Peer.Generator random) {
        int length = (int) (values[1] - values[0]);
        if (length == 0) {
            return 0;
        }
        Node[] table = new Node[length];
        for (int slot = 0; slot < length; slot++) {
            table[slot] = new Node(null, null, values[0] + slot);
        }
        long sum = 0;
        for (long turn = 0; turn < TURNS * length; turn++) {
            int i = random.below(length);
            int j = random.below(length);
            int k = random.below(length);
            boolean clears = (random.next() & 3) != 0;
            Node left = table[j];
            Node right = table[k];
            sum += Peer.mix(left.word);
            sum += Peer.mix(right.word);
            Node replacement = new Node(left, right, nodes + turn);
            Node old = table[i];
            if (clears) {
                old.a = null;
                old.b = null;
            } else {
                old.a = replacement;
                replacement.b = old;
            }
            table[i] = replacement;
        }
        return sum;
    }

    public static void main(String[] arguments) {
        Peer.execute("Churn", Map.of("nodes", 100_000L), Churn::run, arguments);
    }
}
