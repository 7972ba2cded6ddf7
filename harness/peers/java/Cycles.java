import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The program cycles on a Java virtual machine: the same pairs as in {@code harness/src/experiment/cycles.rs}, split over threads in the
 * same way.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms16m -Xmx16m -cp /tmp/peers Cycles pairs=200000
 * harness claims cycles --peer hotspot-serial
 * </pre>
 *
 * <p>Nothing here counts, so that with {@code alone=1} nothing can be said, and nothing is. An object's words beyond the first are an array of their own. The
 * last pair is published, so that no compiler removes the pairs.
 */
public final class Cycles {
    /** Words of an object. */
    private static final int WORDS = 15;

    private static final class Node {
        Node other;
        long word;
        final long[] more = new long[WORDS - 1];
    }

    /** What one thread saw. */
    private static final class Part {
        long sum;
        final List<WeakReference<Node>> watched = new ArrayList<>();
        volatile Node last;
    }

    private static Peer.Outcome run(Peer.Input input) {
        long pairs = input.get("pairs");
        long every = Math.max(pairs / input.get("watched"), 1);
        List<Part> parts = Peer.onThreads(input.threads(), thread -> {
            long[] share = input.share(pairs, thread);
            Part part = new Part();
            make(share[0], share[1], every, part);
            return part;
        });
        long sum = 0;
        long watched = 0;
        for (Part part : parts) {
            sum += part.sum;
            watched += part.watched.size();
        }
        Peer.Outcome outcome = new Peer.Outcome(Peer.mix(sum), pairs, 2 * pairs, 2 * pairs * (8 + 8 * WORDS)).observe("watched_count", watched);
        if (input.get("alone") == 0) {
            outcome.observe("held_before_count", held(parts));
            System.gc();
            outcome.observe("held_after_count", held(parts));
        }
        return outcome;
    }

    private static void make(long begin, long end, long every, Part part) {
        long sum = 0;
        for (long number = begin; number < end; number++) {
            Node one = new Node();
            Node other = new Node();
            one.word = number;
            one.other = other;
            other.other = one;
            part.last = other;
            sum += other.other.word;
            if (number % every == every - 1) {
                part.watched.add(new WeakReference<>(one));
            }
        }
        part.last = null;
        part.sum = sum;
    }

    private static long held(List<Part> parts) {
        return parts.stream().flatMap(part -> part.watched.stream()).filter(node -> node.get() != null).count();
    }

    public static void main(String[] arguments) {
        Peer.execute("Cycles", Map.of("pairs", 200_000L, "watched", 1_000L, "room", 25L, "alone", 0L), Cycles::run, arguments);
    }
}
