import java.util.ArrayDeque;
import java.util.List;
import java.util.Map;

/**
 * The workload sawtooth on a Java virtual machine: the same objects in the same order as in {@code harness/src/workload/sawtooth.rs}, of which the same
 * survive, split over threads in the same way. With probes=1 it asks for a collection at each peak, after each fall and after each calm round.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms96m -Xmx96m -cp /tmp/peers Sawtooth bytes=2000000 rounds=120 survivors=5 threads=1
 * harness run sawtooth --heap-size 96M --peer hotspot-serial
 * </pre>
 *
 * <p>An object takes as much as in gc-marksweep: the 12-byte header and the compressed reference fill the 16 bytes that the header and the
 * reference take there. An entry of a table takes 4 bytes, and 8 there.
 *
 * <p>Then it observes the occupied over the live bytes as the heaps do. The virtual machine's own objects, a mebibyte or two, are among them, and what
 * the Serial collector leaves uncompacted to save time ({@code MarkSweepDeadRatio}), so that the figure is high where little lives. Resident sizes it does
 * not observe: with {@code -Xms} as large as {@code -Xmx}, as the harness runs it, no collector returns memory.
 */
public final class Sawtooth {
    /** Bytes of an object with an 8-byte header. */
    private static final long[] SIZES = {32, 256, 2048};
    private static final long HEADER = 8;
    /** A calm round has this part of the objects of the others. */
    private static final long CALM = 16;
    /** Rounds for which survivors stay. */
    private static final long STAY = 10;

    /** A reference, which ties survivors together, and two words. */
    private static class Object32 {
        Object32 next;
        final long number;
        long word;

        Object32(long number) {
            this.number = number;
        }
    }

    /** Twenty-eight words more. Those of the classes that follow hide them, and take as much room again. */
    private static class Object256 extends Object32 {
        long a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab;

        Object256(long number) {
            super(number);
        }
    }

    private static class Object480 extends Object256 {
        long a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab;

        Object480(long number) {
            super(number);
        }
    }

    private static class Object704 extends Object480 {
        long a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab;

        Object704(long number) {
            super(number);
        }
    }

    private static class Object928 extends Object704 {
        long a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab;

        Object928(long number) {
            super(number);
        }
    }

    private static class Object1152 extends Object928 {
        long a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab;

        Object1152(long number) {
            super(number);
        }
    }

    private static class Object1376 extends Object1152 {
        long a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab;

        Object1376(long number) {
            super(number);
        }
    }

    private static class Object1600 extends Object1376 {
        long a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab;

        Object1600(long number) {
            super(number);
        }
    }

    private static class Object1824 extends Object1600 {
        long a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab;

        Object1824(long number) {
            super(number);
        }
    }

    private static final class Object2048 extends Object1824 {
        long a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z, aa, ab;

        Object2048(long number) {
            super(number);
        }
    }

    /** A round's objects, over all threads. */
    private static final class Batch {
        /** The number of the first. */
        final long first;
        final long count;
        final long size;

        Batch(long first, long bytes, long size) {
            this.first = first;
            this.size = size;
            count = bytes / size;
        }

        /** One thread's part, in a table; null if the part is empty. */
        Object32[] allocate(Peer.Input input, int thread) {
            long[] part = input.share(count, thread);
            if (part[0] == part[1]) {
                return null;
            }
            Object32[] table = new Object32[(int) (part[1] - part[0])];
            for (int slot = 0; slot < table.length; slot++) {
                table[slot] = allocate(first + part[0] + slot);
            }
            return table;
        }

        private Object32 allocate(long number) {
            switch ((int) size) {
                case 32:
                    return new Object32(number);
                case 256:
                    return new Object256(number);
                default:
                    return new Object2048(number);
            }
        }
    }

    private final Peer.Input input;
    /** The survivors of a round: each thread's list, and their bytes. */
    private record Kept(Object32[] lists, long bytes) {}

    private final ArrayDeque<Kept> kept = new ArrayDeque<>();
    private long sum;
    private long peakPercent;
    private long fallPercent;
    private long operations;
    private long objects;
    private long payloadBytes;

    private Sawtooth(Peer.Input input) {
        this.input = input;
    }

    private static Peer.Outcome run(Peer.Input input) {
        return new Sawtooth(input).run();
    }

    private Peer.Outcome run() {
        long rounds = input.get("rounds");
        long bytes = input.get("bytes");
        for (long round = 0; round < rounds; round++) {
            Batch batch = new Batch(operations, bytes, SIZES[(int) (round % SIZES.length)]);
            List<Object32[]> tables = allocate(batch);
            peakPercent = probed(peakPercent, batch.count * (batch.size + 8));
            if (round >= STAY) {
                walk(kept.removeFirst());
            }
            Object32[] lists = new Object32[input.threads()];
            long survivors = 0;
            for (long count : Peer.onThreads(input.threads(), thread -> keepSome(tables.get(thread), lists, thread))) {
                survivors += count;
            }
            kept.addLast(new Kept(lists, survivors * batch.size));
            // A local may keep alive what is not read again.
            tables.clear();
            fallPercent = probed(fallPercent, 0);
        }

        while (!kept.isEmpty()) {
            walk(kept.removeFirst());
        }
        for (long round = 0; round < rounds; round++) {
            allocate(new Batch(operations, bytes / CALM, SIZES[0])).clear();
            if (probes()) {
                System.gc();
            }
        }
        Peer.Outcome outcome = new Peer.Outcome(Peer.mix(sum), operations, objects, payloadBytes);
        if (probes()) {
            outcome.observe("peak_occupied_over_live_percent", peakPercent);
            outcome.observe("fall_occupied_over_live_percent", fallPercent);
        }
        return outcome;
    }

    private boolean probes() {
        return input.get("probes") == 1;
    }

    private List<Object32[]> allocate(Batch batch) {
        operations += batch.count;
        objects += batch.count + Math.min(input.threads(), batch.count);
        // With the table's entry, which is as large as the header that is no payload.
        payloadBytes += batch.count * (batch.size - HEADER + 8);
        return Peer.onThreads(input.threads(), thread -> batch.allocate(input, thread));
    }

    /** Ties a thread's survivors to its list, one of these; how many they are. */
    private long keepSome(Object32[] table, Object32[] lists, int thread) {
        if (table == null) {
            return 0;
        }
        long percent = input.get("survivors");
        long salt = Peer.mix(input.get("seed"));
        Object32 list = null;
        long count = 0;
        for (Object32 object : table) {
            if (Long.remainderUnsigned(Peer.mix(salt + object.number), 100) < percent) {
                object.next = list;
                list = object;
                count++;
            }
        }
        lists[thread] = list;
        return count;
    }

    /** Adds the words of these survivors to the digest. */
    private void walk(Kept gone) {
        for (long part : Peer.onThreads(input.threads(), thread -> walk(gone.lists()[thread]))) {
            sum += part;
        }
    }

    /** A digest of the words of a list. */
    private static long walk(Object32 list) {
        long sum = 0;
        for (Object32 object = list; object != null; object = object.next) {
            sum += Peer.mix(object.number);
        }
        return sum;
    }

    /**
     * With probes: collects, and says in per cent how much more than the live bytes the heap then holds, or the highest so far. {@code bytes} live besides
     * the survivors.
     */
    private long probed(long highest, long bytes) {
        if (!probes()) {
            return highest;
        }
        System.gc();
        Runtime runtime = Runtime.getRuntime();
        long live = bytes + kept.stream().mapToLong(Kept::bytes).sum();
        return Math.max(highest, live == 0 ? 0 : 100 * (runtime.totalMemory() - runtime.freeMemory()) / live);
    }

    public static void main(String[] arguments) {
        Map<String, Long> parameters = Map.of("bytes", 2_000_000L, "rounds", 120L, "survivors", 5L, "probes", 0L);
        Peer.execute("Sawtooth", parameters, Sawtooth::run, arguments);
    }
}
