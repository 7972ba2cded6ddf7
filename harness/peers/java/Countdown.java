import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * The workload countdown on a Java virtual machine: the same numbers as in {@code harness/src/workload/countdown.rs}, split over threads in
 * the same way.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms16m -Xmx16m -cp /tmp/peers Countdown total=50000000 threads=1
 * harness run countdown --heap-size 16M --peer hotspot-serial
 * </pre>
 *
 * <p>A compiler removes a box that never leaves its thread. So each one is published by an ordered store, which must not be merged with
 * the next one; it is a plain move on x86-64, but has the collector's write barrier, which a local variable would not have. The arrays that this
 * takes are not counted as work. A {@code Long} takes 24 bytes here (a 12-byte header, padding, a word; 16 where headers are compact), and
 * 16 in gc-marksweep.
 */
public final class Countdown {
    /** Added to each number: boxes of small ones are kept in a cache, and not allocated. */
    private static final long BEYOND_CACHE = 1024;
    /**
     * Elements of the array in the middle of which a thread publishes its boxes: so many that two threads share no cache line, neither of the
     * heap nor of a card table with a byte for 512 bytes of it, after a collector has moved the arrays next to each other.
     */
    private static final int APART = 16384;

    private static Peer.Outcome run(Peer.Input input) {
        long total = input.get("total");
        List<Long> sums = Peer.onThreads(input.threads(), thread -> {
            long[] part = input.share(total, thread);
            return countDown(part[0], part[1]);
        });
        long sum = 0;
        for (long part : sums) {
            sum += part;
        }
        // A box for each decrement, and the one that each thread begins with.
        long boxes = total + input.threads();
        return new Peer.Outcome(Peer.mix(sum), total, boxes, 8 * boxes);
    }

    /** The sum of the numbers seen on the way from {@code last} down to the one above {@code first}. */
    private static long countDown(long first, long last) {
        AtomicReferenceArray<Long> count = new AtomicReferenceArray<>(APART);
        int middle = APART / 2;
        count.lazySet(middle, last + BEYOND_CACHE);
        long sum = 0;
        while (true) {
            long value = count.getPlain(middle);
            if (value == first + BEYOND_CACHE) {
                return sum;
            }
            sum += value - BEYOND_CACHE;
            count.lazySet(middle, value - 1);
        }
    }

    public static void main(String[] arguments) {
        Peer.execute("Countdown", Map.of("total", 50_000_000L, "interval-us", 0L), Countdown::run, arguments);
    }
}
