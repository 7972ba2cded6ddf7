import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * The program of the experiments cpu-bound and io-bound on a Java virtual machine: the same tasks as in
 * {@code harness/src/experiment/cpu_bound.rs}, split over threads in the same way.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms16m -Xmx16m -cp /tmp/peers CpuBound tasks=20 increments=500000 sleep-us=0 threads=20
 * harness claims cpu-bound io-bound
 * </pre>
 *
 * <p>Boxes are published as in {@link Countdown}, so that no compiler removes them and threads share no cache line.
 */
public final class CpuBound {
    /** Added to each number: boxes of small ones are kept in a cache, and not allocated. */
    private static final long BEYOND_CACHE = 1024;
    /** Elements of the array in the middle of which a thread publishes its boxes: see {@link Countdown}. */
    private static final int APART = 16384;

    private static Peer.Outcome run(Peer.Input input) {
        long tasks = input.get("tasks");
        long increments = input.get("increments");
        long sleep = input.get("sleep-us");
        List<long[]> parts = Peer.onThreads(input.threads(), thread -> {
            long begun = System.nanoTime();
            long[] part = input.share(tasks, thread);
            AtomicReferenceArray<Long> published = new AtomicReferenceArray<>(APART);
            long sum = 0;
            for (long task = part[0]; task < part[1]; task++) {
                sum += count(increments, published);
                if (sleep > 0) {
                    Peer.sleep(sleep * 1000);
                }
            }
            return new long[] {sum, System.nanoTime() - begun};
        });
        long sum = 0;
        long shortest = Long.MAX_VALUE;
        long longest = 0;
        for (long[] part : parts) {
            sum += part[0];
            shortest = Math.min(shortest, part[1]);
            longest = Math.max(longest, part[1]);
        }
        // A box for each increment, and the one that each task begins with.
        long boxes = tasks * (increments + 1);
        return new Peer.Outcome(Peer.mix(sum), tasks * increments, boxes, 8 * boxes)
                .observe("shortest_run_ns", shortest)
                .observe("longest_run_ns", longest);
    }

    /** Counts from 0 to {@code increments}; the sum of the numbers that were left behind. */
    private static long count(long increments, AtomicReferenceArray<Long> published) {
        int middle = APART / 2;
        published.lazySet(middle, BEYOND_CACHE);
        long sum = 0;
        while (true) {
            long value = published.getPlain(middle) - BEYOND_CACHE;
            if (value == increments) {
                return sum;
            }
            sum += value;
            published.lazySet(middle, value + 1 + BEYOND_CACHE);
        }
    }

    public static void main(String[] arguments) {
        Map<String, Long> parameters = Map.of("tasks", 20L, "increments", 500_000L, "sleep-us", 0L);
        Peer.execute("CpuBound", parameters, CpuBound::run, arguments);
    }
}
