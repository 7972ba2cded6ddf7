import java.util.Map;

/**
 * The workload rings on a Java virtual machine: the same rings as in {@code harness/src/workload/rings.rs}, split over threads in the same
 * way.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms68m -Xmx68m -cp /tmp/peers Rings ring=10 held=100000 dropped=900000 cyclic=100 threads=1
 * harness run rings --heap-size 68M --peer hotspot-serial
 * </pre>
 *
 * <p>A node takes 24 bytes here (a 12-byte header, a compressed reference, a word), and 32 in gc-marksweep (an 8-byte header, a reference of
 * 8 bytes, a word, padding).
 */
public final class Rings {
    private static final class Node {
        Node next;
        final long word;

        Node(Node next, long word) {
            this.next = next;
            this.word = word;
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        long ring = input.get("ring");
        long held = input.get("held");
        long dropped = input.get("dropped");
        long cyclic = input.get("cyclic");
        long checksum = 0;
        for (long part : Peer.onThreads(input.threads(), thread -> {
            long[] kept = input.share(held, thread);
            Node[] table = new Node[(int) (kept[1] - kept[0])];
            for (int slot = 0; slot < table.length; slot++) {
                long index = kept[0] + slot;
                table[slot] = build(index * ring, ring, isClosed(index, cyclic));
            }
            long sum = 0;
            long[] gone = input.share(dropped, thread);
            for (long index = held + gone[0]; index < held + gone[1]; index++) {
                sum += Peer.mix(build(index * ring, ring, isClosed(index, cyclic)).word);
            }
            for (int slot = 0; slot < table.length; slot++) {
                sum += walk(table[slot], ring, isClosed(kept[0] + slot, cyclic));
            }
            return sum;
        })) {
            checksum += part;
        }
        long nodes = (held + dropped) * ring;
        return new Peer.Outcome(checksum, nodes, nodes + input.threads(), 16 * nodes + 8 * held);
    }

    /** Bresenham's way to spread so many per cent evenly. */
    private static boolean isClosed(long index, long cyclic) {
        return (index + 1) * cyclic / 100 != index * cyclic / 100;
    }

    /** A ring, or a chain; the last one built is its head. */
    private static Node build(long first, long length, boolean closed) {
        Node tail = new Node(null, first);
        Node head = tail;
        for (long position = 1; position < length; position++) {
            head = new Node(head, first + position);
        }
        if (closed) {
            tail.next = head;
        }
        return head;
    }

    /** A digest of a ring's words, and of whether it comes back to where it began. */
    private static long walk(Node head, long length, boolean closed) {
        long sum = 0;
        Node node = head;
        for (long position = 0; position < length; position++) {
            sum += Peer.mix(node.word);
            node = node.next;
        }
        return (node == head) == closed ? sum + 1 : sum;
    }

    public static void main(String[] arguments) {
        Map<String, Long> parameters = Map.of("ring", 10L, "held", 100_000L, "dropped", 900_000L, "cyclic", 100L);
        Peer.execute("Rings", parameters, Rings::run, arguments);
    }
}
