import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The program of the experiment contention on a Java virtual machine: small operations of threads on objects of their own, for a given time,
 * as in {@code harness/src/experiment/contention.rs}.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -cp /tmp/peers Contention milliseconds=150 visits=2000 interval-us=0 threads=8
 * harness claims contention
 * </pre>
 */
public final class Contention {
    private static final int OBJECTS = 1_000;

    private static final class Node {
        final Node next;
        long word;

        Node(Node next) {
            this.next = next;
        }
    }

    /** One thread's operations. */
    private static final class Part {
        long[] times = new long[1 << 10];
        int count;
        /** So that no compiler removes what was done to it. */
        Node first;
    }

    private static Part operate(long visits, long length, CyclicBarrier start, AtomicLong shared) {
        Part part = new Part();
        for (int number = 0; number < OBJECTS; number++) {
            part.first = new Node(part.first);
        }
        try {
            start.await();
        } catch (InterruptedException | BrokenBarrierException nobody) {
            throw new IllegalStateException(nobody);
        }
        // The first thread to run says when they began.
        shared.compareAndSet(0, System.nanoTime());
        long begun = shared.get();
        long last = begun;
        Node node = part.first;
        while (part.count == 0 || last - begun < length) {
            for (long visit = 0; visit < visits; visit++) {
                node.word++;
                node = node.next == null ? part.first : node.next;
            }
            long now = System.nanoTime();
            if (part.count == part.times.length) {
                part.times = Arrays.copyOf(part.times, 2 * part.count);
            }
            part.times[part.count++] = now - last;
            last = now;
        }
        return part;
    }

    private static Peer.Outcome run(Peer.Input input) {
        long milliseconds = input.get("milliseconds");
        int threads = input.threads();
        CyclicBarrier start = new CyclicBarrier(threads);
        AtomicLong shared = new AtomicLong();
        List<Part> parts = Peer.onThreads(threads,
                thread -> operate(input.get("visits"), 1_000_000 * milliseconds, start, shared));
        long[] times = parts.stream().flatMapToLong(part -> Arrays.stream(part.times, 0, part.count)).sorted().toArray();
        long least = parts.stream().mapToLong(part -> part.count).min().getAsLong();
        long objects = (long) OBJECTS * threads;
        Peer.Outcome outcome = new Peer.Outcome(Peer.mix(milliseconds), milliseconds, objects, 16 * objects)
                .observe("operations_count", times.length)
                .observe("least_share_percent", 100 * least * threads / times.length)
                .observe("longest_operation_ns", times[times.length - 1])
                .observe("mean_operation_ns", Arrays.stream(times).sum() / times.length);
        // Fewer than ten above it say nothing.
        return times.length < 1_000 ? outcome : outcome.observe("p99_operation_ns", times[times.length - times.length / 100]);
    }

    public static void main(String[] arguments) {
        Map<String, Long> parameters = Map.of("milliseconds", 150L, "visits", 2_000L, "interval-us", 0L);
        Peer.execute("Contention", parameters, Contention::run, arguments);
    }
}
