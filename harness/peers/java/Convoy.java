import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.Pipe;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * The program of the experiment convoy on a Java virtual machine: a thread that asks an outsider and waits for the answer, beside threads that
 * compute, as in {@code harness/src/experiment/convoy.rs}. The outsider is a thread, which needs no lock that others have.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/*.java
 * java -cp /tmp/peers Convoy calls=40 beside=1
 * harness claims convoy
 * </pre>
 */
public final class Convoy {
    private static final long PAUSE_NS = 50_000;

    private static final class Answer {
        final long word;

        Answer(long word) {
            this.word = word;
        }
    }

    /** One thread's calls. */
    private static final class Part {
        long sum;
        final long[] times;
        /** So that no compiler removes any. */
        final Answer[] answers;

        Part(int calls) {
            times = new long[calls];
            answers = new Answer[calls];
        }
    }

    /** Writes or reads a byte. */
    private interface Transfer {
        int of(ByteBuffer one) throws IOException;
    }

    private static boolean move(Transfer transfer, ByteBuffer one) {
        one.clear();
        try {
            return transfer.of(one) == 1;
        } catch (IOException broken) {
            throw new UncheckedIOException(broken);
        }
    }

    private static void answer(Pipe questions, Pipe answers) {
        ByteBuffer one = ByteBuffer.allocateDirect(1);
        while (move(questions.source()::read, one)) {
            Peer.sleep(PAUSE_NS);
            one.put(0, (byte) (one.get(0) + 1));
            move(answers.sink()::write, one);
        }
    }

    private static Part call(int calls) {
        try {
            Pipe questions = Pipe.open();
            Pipe answers = Pipe.open();
            Thread outsider = new Thread(() -> answer(questions, answers));
            outsider.start();
            Part part = new Part(calls);
            ByteBuffer one = ByteBuffer.allocateDirect(1);
            for (int number = 0; number < calls; number++) {
                long start = System.nanoTime();
                one.put(0, (byte) number);
                move(questions.sink()::write, one);
                move(answers.source()::read, one);
                part.times[number] = System.nanoTime() - start;
                part.answers[number] = new Answer(one.get(0) & 0xff);
                part.sum += Peer.mix(part.answers[number].word ^ ((long) number << 8));
            }
            questions.sink().close();
            outsider.join();
            questions.source().close();
            answers.sink().close();
            answers.source().close();
            return part;
        } catch (IOException broken) {
            throw new UncheckedIOException(broken);
        } catch (InterruptedException nobody) {
            throw new IllegalStateException(nobody);
        }
    }

    private static Peer.Outcome run(Peer.Input input) {
        int calls = (int) input.get("calls");
        int others = (int) input.get("beside");
        List<Part> parts = Peer.beside(others, () -> Peer.onThreads(input.threads(), thread -> call(calls))).result;
        long sum = 0;
        for (Part part : parts) {
            sum += part.sum;
        }
        long[] times = parts.stream().flatMapToLong(part -> Arrays.stream(part.times)).toArray();
        long operations = (long) calls * input.threads();
        long objects = operations + others;
        long median = Peer.median(times);
        return new Peer.Outcome(Peer.mix(sum), operations, objects, 8 * objects)
                .observe("median_call_ns", median)
                .observe("longest_call_ns", times[times.length - 1]);
    }

    public static void main(String[] arguments) {
        Peer.execute("Convoy", Map.of("calls", 40L, "beside", 0L), Convoy::run, arguments);
    }
}
