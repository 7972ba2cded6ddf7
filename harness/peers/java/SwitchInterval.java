import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The program of the experiment switch-interval on a Java virtual machine: threads that go round in a loop and note how long they do so
 * undisturbed, as in {@code harness/src/experiment/switch_interval.rs}. There is no lock here and no interval to set.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -cp /tmp/peers SwitchInterval milliseconds=300 operation-ms=0 interval-us=0 threads=2
 * harness claims switch-interval
 * </pre>
 */
public final class SwitchInterval {
    private static final int MOST_RUNS = 1 << 16;
    private static final int NOBODY = -1;

    /** What one thread saw: runs of others that it ended, the longest of all, the shortest operation. */
    private static final class Runs {
        final long[] ended = new long[MOST_RUNS];
        int count;
        long longest;
        long operation = Long.MAX_VALUE;
    }

    /** What threads that take turns tell each other. */
    private static final class Turns {
        final AtomicInteger last = new AtomicInteger(NOBODY);
        final AtomicLong begun = new AtomicLong();
        final long until;

        Turns(long length) {
            until = System.nanoTime() + length;
        }

        Runs goRound(int me, long operation) {
            Runs runs = new Runs();
            long nextOperation = System.nanoTime();
            while (true) {
                long now = System.nanoTime();
                int before = last.get();
                if (before != me) {
                    last.set(me);
                    long run = Math.max(now - begun.getAndSet(now), 0);
                    if (before != NOBODY && runs.count < MOST_RUNS) {
                        runs.ended[runs.count++] = run;
                        runs.longest = Math.max(runs.longest, run);
                    }
                }
                if (operation > 0 && now - nextOperation >= 0) {
                    long after = System.nanoTime();
                    while (after - now < operation) {
                        Thread.onSpinWait();
                        after = System.nanoTime();
                    }
                    runs.operation = Math.min(runs.operation, after - now);
                    nextOperation = after + 2 * (after - now);
                }
                if (now - until >= 0) {
                    if (last.get() == me) {
                        runs.longest = Math.max(runs.longest, System.nanoTime() - begun.get());
                    }
                    return runs;
                }
            }
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        long milliseconds = input.get("milliseconds");
        long operation = 1_000_000 * input.get("operation-ms");
        Turns turns = new Turns(1_000_000 * milliseconds);
        List<Runs> parts = Peer.onThreads(input.threads(), thread -> turns.goRound(thread, thread == 0 ? operation : 0));
        List<Long> ended = new ArrayList<>();
        long longest = 0;
        long shortest = Long.MAX_VALUE;
        for (Runs runs : parts) {
            for (int index = 0; index < runs.count; index++) {
                ended.add(runs.ended[index]);
            }
            longest = Math.max(longest, runs.longest);
            shortest = Math.min(shortest, runs.operation);
        }
        Peer.Outcome outcome = new Peer.Outcome(Peer.mix(milliseconds), milliseconds, 0, 0)
                .observe("runs_count", ended.size())
                .observe("longest_run_ns", longest);
        if (!ended.isEmpty()) {
            outcome.observe("median_run_ns", Peer.median(ended.stream().mapToLong(Long::longValue).toArray()));
        }
        return operation > 0 ? outcome.observe("operation_ns", shortest) : outcome;
    }

    public static void main(String[] arguments) {
        Map<String, Long> parameters = Map.of("milliseconds", 300L, "operation-ms", 0L, "interval-us", 0L);
        Peer.execute("SwitchInterval", parameters, SwitchInterval::run, arguments);
    }
}
