import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.concurrent.locks.LockSupport;

/**
 * The experiment async on a Java virtual machine: the same tasks as in {@code harness/src/experiment/async.rs}, each thread serving its share from
 * a queue of timers.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/Peer.java harness/peers/java/Async.java
 * java -XX:+UseSerialGC -Xmx64m -cp /tmp/peers Async tasks=500 threads=1 waits=10 microseconds=10000
 * harness claims async --peer hotspot-serial
 * </pre>
 */
public final class Async {
    private static final int ROUNDS = 10;

    private static final class Response {
        final long task;
        final long round;

        Response(long task, long round) {
            this.task = task;
            this.round = round;
        }
    }

    private static final class Timer implements Comparable<Timer> {
        final long task;
        long round;
        long due;

        Timer(long task, long due) {
            this.task = task;
            this.due = due;
        }

        @Override
        public int compareTo(Timer other) {
            return Long.signum(due - other.due);
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        long tasks = input.get("tasks");
        long waits = input.get("waits");
        long begun = System.nanoTime();
        List<Long> sums = Peer.onThreads(input.threads(), thread -> {
            long[] range = input.share(tasks, thread);
            return serve(range[0], range[1], waits, 1000 * input.get("microseconds"), input.get("seed"));
        });
        long sum = 0;
        for (long part : sums) {
            sum += part;
        }
        long elapsed = System.nanoTime() - begun;
        // A response to each wait, and a table on each thread.
        return new Peer.Outcome(
                Peer.mix(sum), tasks * waits, tasks * waits + input.threads(), 16 * tasks * waits + 8 * tasks)
                .observe("elapsed_ns", elapsed);
    }

    private static long length(long task, long round, long waits, long mean, long seed) {
        return mean / 2 + Long.remainderUnsigned(Peer.mix(seed + task * waits + round), mean);
    }

    private static long serve(long begin, long end, long waits, long mean, long seed) {
        Response[] responses = new Response[(int) (end - begin)];
        PriorityQueue<Timer> timers = new PriorityQueue<>();
        long now = System.nanoTime();
        for (long task = begin; task < end; task++) {
            timers.add(new Timer(task, now + length(task, 0, waits, mean, seed)));
        }
        long sum = 0;
        while (!timers.isEmpty()) {
            long left = timers.peek().due - System.nanoTime();
            if (left > 0) {
                LockSupport.parkNanos(left);
                continue;
            }
            Timer timer = timers.poll();
            Response response = new Response(timer.task, timer.round);
            responses[(int) (timer.task - begin)] = response;
            long word = response.task * waits + response.round;
            for (int round = 0; round < ROUNDS; round++) {
                word = Peer.mix(word);
            }
            sum += word;
            if (++timer.round < waits) {
                timer.due = System.nanoTime() + length(timer.task, timer.round, waits, mean, seed);
                timers.add(timer);
            }
        }
        return sum;
    }

    public static void main(String[] arguments) {
        Peer.execute("Async", Map.of("tasks", 500L, "waits", 10L, "microseconds", 10_000L), Async::run, arguments);
    }
}
