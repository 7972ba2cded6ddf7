import java.util.List;
import java.util.Map;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;

/**
 * The program of the experiment broken-links on a Java virtual machine: links changed in two steps by one thread and looked at by another, as in
 * {@code harness/src/experiment/broken_links.rs}. Links are volatile, so that each step is seen; threads run freely.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms16m -Xmx16m -cp /tmp/peers BrokenLinks milliseconds=150 locked=0 interval-us=0 threads=2
 * harness claims broken-links
 * </pre>
 */
public final class BrokenLinks {
    private static final class Node {
        volatile Node next;
        volatile Node previous;
    }

    /** What a thread shares with others: made on one of its own, so that it is counted. */
    private static final class Links {
        final Node first = new Node();
        final Node middle = new Node();
        final Node last = new Node();

        Links() {
            first.next = last;
            last.previous = first;
            middle.next = last;
            middle.previous = first;
        }

        void put(boolean isIn) {
            first.next = isIn ? middle : last;
            last.previous = isIn ? middle : first;
        }

        boolean isBroken() {
            for (Node node = first; node.next != null; ) {
                Node next = node.next;
                if (next.previous != node) {
                    return true;
                }
                node = next;
            }
            return false;
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        long milliseconds = input.get("milliseconds");
        boolean locked = input.get("locked") != 0;
        Links links = Peer.onThreads(1, thread -> new Links()).get(0);
        CyclicBarrier start = new CyclicBarrier(2);
        List<long[]> seen = Peer.onThreads(2, thread -> {
            try {
                start.await();
            } catch (InterruptedException | BrokenBarrierException nobody) {
                throw new IllegalStateException(nobody);
            }
            long until = System.nanoTime() + milliseconds * 1_000_000;
            long looks = 0;
            long broken = 0;
            for (boolean isIn = true; System.nanoTime() < until; isIn = !isIn) {
                boolean isBroken = false;
                if (locked) {
                    synchronized (links) {
                        isBroken = turn(links, thread, isIn);
                    }
                } else {
                    isBroken = turn(links, thread, isIn);
                }
                looks++;
                broken += isBroken ? 1 : 0;
            }
            return new long[] {looks, broken};
        });
        // Three nodes with two references each.
        return new Peer.Outcome(Peer.mix(milliseconds), milliseconds, 3, 48)
                .observe("looks_count", seen.get(1)[0])
                .observe("broken_looks_count", seen.get(1)[1]);
    }

    private static boolean turn(Links links, int thread, boolean isIn) {
        if (thread == 0) {
            links.put(isIn);
            return false;
        }
        return links.isBroken();
    }

    public static void main(String[] arguments) {
        Map<String, Long> parameters = Map.of("milliseconds", 150L, "locked", 0L, "interval-us", 0L);
        Peer.execute("BrokenLinks", parameters, BrokenLinks::run, arguments);
    }
}
