import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;

/**
 * The program of the experiment native on a Java virtual machine: the same checks of the same bytes as in
 * {@code harness/src/experiment/native.rs}. There is no lock that a call could keep; the one that keeps it elsewhere is computed in Java, the
 * other one by the library.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -XX:+UseSerialGC -Xms16m -Xmx16m -cp /tmp/peers Native calls=8 kibibytes=4096 keeps=1 beside=0 threads=2
 * harness claims native
 * </pre>
 */
public final class Native {
    /** What a call leaves behind. */
    private static final class Result {
        final long word;

        Result(long word) {
            this.word = word;
        }
    }

    /** What a thread did. */
    private static final class Part {
        final long sum;
        /** How long each call took until its result was there, and how long it computed. */
        final long[] times;
        final long[] computing;
        /** So that no compiler removes any. */
        final Result[] results;

        Part(long sum, long[] times, long[] computing, Result[] results) {
            this.sum = sum;
            this.times = times;
            this.computing = computing;
            this.results = results;
        }
    }

    private static final int[] TABLE = new int[256];

    static {
        for (int index = 0; index < 256; index++) {
            int value = index << 8;
            for (int bit = 0; bit < 8; bit++) {
                value = (value & 0x8000) != 0 ? (value << 1) ^ 0x1021 : value << 1;
            }
            TABLE[index] = value & 0xffff;
        }
    }

    private static long crc16(byte[] data) {
        int value = 0;
        for (byte next : data) {
            value = ((value << 8) & 0xff00) ^ TABLE[(value >> 8) ^ (next & 0xff)];
        }
        return value;
    }

    private static long crc32(byte[] data) {
        CRC32 check = new CRC32();
        check.update(data, 0, data.length);
        return check.getValue();
    }

    private static Peer.Outcome run(Peer.Input input) {
        long calls = input.get("calls");
        int others = (int) input.get("beside");
        boolean keeps = input.get("keeps") != 0;
        byte[] data = new byte[(int) input.get("kibibytes") << 10];
        for (int index = 0; index < data.length; index++) {
            data[index] = (byte) (index % 251);
        }
        Peer.Beside<List<Part>> beside = Peer.beside(others, () -> Peer.onThreads(input.threads(), thread -> {
            long[] numbers = input.share(calls, thread);
            long sum = 0;
            long[] times = new long[(int) (numbers[1] - numbers[0])];
            long[] computing = new long[times.length];
            Result[] results = new Result[times.length];
            for (long number = numbers[0]; number < numbers[1]; number++) {
                int index = (int) (number - numbers[0]);
                long start = System.nanoTime();
                long check = keeps ? crc16(data) : crc32(data);
                computing[index] = System.nanoTime() - start;
                results[index] = new Result(check);
                times[index] = System.nanoTime() - start;
                sum += Peer.mix(results[index].word ^ (number << 32));
            }
            return new Part(sum, times, computing, results);
        }));
        List<Part> parts = beside.result;
        long sum = 0;
        for (Part part : parts) {
            sum += part.sum;
        }
        long[] times = parts.stream().flatMapToLong(part -> Arrays.stream(part.times)).toArray();
        long[] computing = parts.stream().flatMapToLong(part -> Arrays.stream(part.computing)).toArray();
        long objects = calls + others;
        long median = Peer.median(times);
        Peer.Outcome outcome = new Peer.Outcome(Peer.mix(sum), calls, objects, 8 * objects)
                .observe("median_call_ns", median)
                .observe("median_computing_ns", Peer.median(computing))
                .observe("longest_call_ns", times[times.length - 1]);
        return others > 0 ? outcome.observe("longest_gap_ns", beside.longestGap) : outcome;
    }

    public static void main(String[] arguments) {
        Map<String, Long> parameters = Map.of("calls", 8L, "kibibytes", 4096L, "keeps", 1L, "beside", 0L);
        Peer.execute("Native", parameters, Native::run, arguments);
    }
}
