import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * The program replacement on a Java virtual machine: the same replacements as in {@code harness/src/experiment/replacement.rs}, split over
 * threads in the same way.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms16m -Xmx16m -cp /tmp/peers Replacement live=100000 replaced=400
 * harness claims footprint --peer hotspot-serial
 * </pre>
 *
 * <p>A node's words beyond the first are an array of their own: 32 bytes here and, if there are any, 16 and the words. The live set's size is
 * what of the heap is in use when the table has been filled, some of which is the virtual machine's own. A death that is
 * watched has been found when its reference comes out of the queue.
 */
public final class Replacement {
    /** How long to wait for the references of the last collection. */
    private static final long SECONDS = 10;

    private static final class Node {
        Node other;
        final long word;
        final long[] more;

        Node(long word, int more) {
            this.word = word;
            this.more = more == 0 ? null : new long[more];
        }
    }

    /** A reference that knows when its object was unreachable. */
    private static final class Death extends PhantomReference<Node> {
        long unreachable;

        Death(Node node, ReferenceQueue<Node> queue) {
            super(node, queue);
        }
    }

    /** Takes the dead from the queue as they come. */
    private static final class Reaper extends Thread {
        final ReferenceQueue<Node> queue = new ReferenceQueue<>();
        final CountDownLatch awaited;
        final List<Long> delays = new ArrayList<>();

        Reaper(int watched) {
            awaited = new CountDownLatch(watched);
            setDaemon(true);
        }

        @Override
        public void run() {
            try {
                while (awaited.getCount() > 0) {
                    Death death = (Death) queue.remove();
                    long delay = System.nanoTime() - death.unreachable;
                    synchronized (delays) {
                        delays.add(delay);
                    }
                    awaited.countDown();
                }
            } catch (InterruptedException end) {
                // Nobody waits for the rest.
            }
        }
    }

    /** What one thread saw. */
    private static final class Part {
        long sum;
        final List<Death> deaths = new ArrayList<>();
    }

    private static Peer.Outcome run(Peer.Input input) {
        int threads = input.threads();
        long live = input.get("live");
        long replaced = live * input.get("replaced") / 100;
        long after = live * input.get("after") / 100;
        int more = (int) input.get("words") - 1;
        boolean cyclic = input.get("cyclic") == 1;
        long every = input.get("watched") == 0 ? 0 : Math.max(replaced / input.get("watched"), 1);

        List<Node[]> tables = Peer.onThreads(threads, thread -> {
            long[] share = input.share(live, thread);
            Node[] table = new Node[(int) (share[1] - share[0])];
            for (int slot = 0; slot < table.length; slot++) {
                table[slot] = make(share[0] + slot, more, cyclic);
            }
            return table;
        });
        long liveBytes = Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
        Reaper reaper = new Reaper(every == 0 ? 0 : (int) (replaced / every));
        reaper.start();
        List<Part> parts = Peer.onThreads(threads, thread -> {
            Node[] table = tables.get(thread);
            Part part = new Part();
            if (table.length > 0) {
                replace(table, live, input.share(replaced, thread), more, cyclic, every, input.get("seed") + thread, reaper.queue, part);
            }
            return part;
        });
        long notFound = end(reaper, every > 0);
        long full = tables.stream().filter(table -> table.length > 0).count();
        tables.clear();
        long sum = Peer.onThreads(1, thread -> goOn(live + replaced, after, more, cyclic)).get(0);
        long watched = 0;
        for (Part part : parts) {
            sum += part.sum;
            watched += part.deaths.size();
        }
        long made = live + replaced + after;
        long payload = (16 + 8L * more) * made + 8 * live;
        Peer.Outcome outcome = new Peer.Outcome(Peer.mix(sum), made, made + full, payload).observe("live_count", live).observe("live_bytes", liveBytes);
        if (watched > 0) {
            outcome.observe("deaths_not_found_count", notFound);
            synchronized (reaper.delays) {
                outcome.delays(reaper.delays.stream().mapToLong(Long::longValue).toArray());
            }
        }
        return outcome;
    }

    private static Node make(long number, int more, boolean cyclic) {
        Node node = new Node(number, more);
        if (cyclic) {
            node.other = node;
        }
        return node;
    }

    private static void replace(
            Node[] table, long live, long[] share, int more, boolean cyclic, long every, long seed, ReferenceQueue<Node> queue, Part part) {
        int state = (int) Peer.mix(seed);
        long sum = 0;
        for (long number = share[0]; number < share[1]; number++) {
            Node node = make(live + number, more, cyclic);
            state = state * 1664525 + 1013904223;
            int slot = (int) (((state & 0xffffffffL) * table.length) >>> 32);
            Node previous = table[slot];
            sum += previous.word;
            if (every > 0 && number % every == every - 1) {
                Death death = new Death(previous, queue);
                part.deaths.add(death);
                // Before the table lets go of it: a collection may come at once.
                death.unreachable = System.nanoTime();
            }
            table[slot] = node;
        }
        for (Node node : table) {
            sum += node.word;
        }
        part.sum = sum;
    }

    /** The last object that was made. */
    private static volatile Node published;

    private static long goOn(long first, long count, int more, boolean cyclic) {
        long sum = 0;
        for (long number = first; number < first + count; number++) {
            published = make(number, more, cyclic);
            sum += published.word;
        }
        published = null;
        return sum;
    }

    /** Has the last deaths found, and says how many were not. */
    private static long end(Reaper reaper, boolean watches) {
        try {
            if (watches) {
                System.gc();
                reaper.awaited.await(SECONDS, TimeUnit.SECONDS);
            }
            reaper.interrupt();
            reaper.join();
        } catch (InterruptedException none) {
            // Nobody interrupts.
        }
        return reaper.awaited.getCount();
    }

    public static void main(String[] arguments) {
        Map<String, Long> parameters = Map.of(
                "live", 100_000L, "replaced", 400L, "words", 1L, "multiple", 4L, "spare", 0L, "cyclic", 0L, "after", 0L, "watched", 0L);
        Peer.execute("Replacement", parameters, Replacement::run, arguments);
    }
}
