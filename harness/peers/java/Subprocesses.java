import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * The experiment subprocesses on a Java virtual machine: the same children as in {@code harness/src/experiment/subprocesses.rs}, started and waited
 * for with {@link ProcessBuilder}.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/Peer.java harness/peers/java/Subprocesses.java
 * java -XX:+UseSerialGC -Xmx64m -cp /tmp/peers Subprocesses children=10 threads=10 milliseconds=40
 * harness claims subprocesses --peer hotspot-serial
 * </pre>
 */
public final class Subprocesses {
    private static final long HANGS = 100;
    private static final long PATIENCE = 5;

    /** How a child has ended. */
    private static final class Result {
        final long number;
        final long endedWell;

        Result(long number, long endedWell) {
            this.number = number;
            this.endedWell = endedWell;
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        long children = input.get("children");
        long hanging = input.get("hanging");
        long milliseconds = input.get("milliseconds");
        List<long[]> parts = Peer.onThreads(input.threads(), thread -> {
            long[] range = input.share(children + hanging, thread);
            long sum = 0;
            long killed = 0;
            long right = 0;
            for (long number = range[0]; number < range[1]; number++) {
                boolean hangs = number >= children;
                long time = milliseconds * (hangs ? HANGS : 1);
                boolean endedWell = false;
                boolean overdue = false;
                try {
                    Process child = new ProcessBuilder("sleep", String.format(Locale.ROOT, "%d.%03d", time / 1000, time % 1000)).start();
                    if (!hangs) {
                        endedWell = child.waitFor() == 0;
                    } else if (child.waitFor(milliseconds * PATIENCE, TimeUnit.MILLISECONDS)) {
                        endedWell = child.exitValue() == 0;
                    } else {
                        child.destroyForcibly().waitFor();
                        overdue = true;
                    }
                } catch (IOException | InterruptedException failure) {
                    throw new IllegalStateException(failure);
                }
                killed += overdue ? 1 : 0;
                right += overdue == hangs ? 1 : 0;
                Result result = new Result(number, endedWell ? 1 : 0);
                sum += Peer.mix(2 * result.number + result.endedWell);
            }
            return new long[] {sum, killed, right};
        });
        long sum = 0;
        long killed = 0;
        long right = 0;
        for (long[] part : parts) {
            sum += part[0];
            killed += part[1];
            right += part[2];
        }
        long made = children + hanging;
        return new Peer.Outcome(Peer.mix(sum), made, made, 16 * made)
                .observe("killed_children", killed)
                .observe("rightly_ended_children", right)
                .observe("hang_ns", hanging > 0 ? milliseconds * HANGS * 1_000_000 : 0);
    }

    public static void main(String[] arguments) {
        Peer.execute(
                "Subprocesses",
                Map.of("children", 10L, "hanging", 0L, "milliseconds", 40L),
                Subprocesses::run,
                arguments);
    }
}
