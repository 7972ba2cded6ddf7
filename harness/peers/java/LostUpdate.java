import java.util.Map;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;

/**
 * The program of the experiment lost-update on a Java virtual machine: threads that add to one count, as in
 * {@code harness/src/experiment/lost_update.rs}. The count is a volatile reference to a box; threads run freely, so that it makes no difference
 * where they poll.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms16m -Xmx16m -cp /tmp/peers LostUpdate updates=100000 runs=1 between=1 locked=0 interval-us=0 threads=5
 * harness claims lost-update
 * </pre>
 */
public final class LostUpdate {
    /** What the count starts at: boxes of small numbers are kept in a cache, and not allocated. */
    private static final long BEYOND_CACHE = 1024;

    private static final class Count {
        volatile Long value = BEYOND_CACHE;
    }

    private static Peer.Outcome run(Peer.Input input) {
        long runs = input.get("runs");
        long lost = 0;
        long losing = 0;
        for (long run = 0; run < runs; run++) {
            long inThisRun = lostInARun(input);
            lost += inThisRun;
            losing += inThisRun > 0 ? 1 : 0;
        }
        long updates = runs * input.get("updates") * input.threads();
        // A count for each run, and a box for each update.
        long made = runs + updates;
        return new Peer.Outcome(Peer.mix(updates), updates, made, 8 * made)
                .observe("lost_updates", lost)
                .observe("runs_count", runs)
                .observe("losing_runs_count", losing);
    }

    private static long lostInARun(Peer.Input input) {
        long updates = input.get("updates");
        boolean locked = input.get("locked") != 0;
        Count count = new Count();
        CyclicBarrier start = new CyclicBarrier(input.threads());
        Peer.onThreads(input.threads(), thread -> {
            try {
                start.await();
            } catch (InterruptedException | BrokenBarrierException nobody) {
                throw new IllegalStateException(nobody);
            }
            for (long update = 0; update < updates; update++) {
                if (locked) {
                    synchronized (count) {
                        count.value = count.value + 1;
                    }
                } else {
                    count.value = count.value + 1;
                }
            }
            return null;
        });
        return Math.max(updates * input.threads() - (count.value - BEYOND_CACHE), 0);
    }

    public static void main(String[] arguments) {
        Map<String, Long> parameters =
                Map.of("updates", 1_000_000L, "runs", 1L, "between", 0L, "locked", 0L, "interval-us", 0L);
        Peer.execute("LostUpdate", parameters, LostUpdate::run, arguments);
    }
}
