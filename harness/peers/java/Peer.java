import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What the programs of this directory share: arguments, threads, the generator, clocks.
 *
 * <p>Java 11 or later. A program is one class beside this one, in the unnamed package, whose {@code main} calls {@link #execute}; they are
 * compiled together. How it is measured:
 *
 * <ul>
 *   <li>The heap is as large as {@code -Xms} and {@code -Xmx} say. A full one is a result like any other, and ends the process.
 *   <li>Each iteration ends with {@code System.gc()}, outside of what is measured, so that its garbage is not charged to the next.
 *   <li>Compilation is part of what warming up is for: iteration 0 is repeated until it is steady, by the rule of {@link Warmup}.
 *   <li>Starting threads is no part of the time: the work on them begins when all are there, as on the heaps.
 *   <li>A compiler may remove objects that do not escape. So all work is done on threads of {@link #onThreads}, whose allocated bytes
 *       the virtual machine counts, and the harness compares them with the objects that the program says it made.
 *   <li>Sizes of objects, where a program's comment gives them, are with compressed references. The Z collector does without.
 *   <li>Pauses are not recorded here: they are in the virtual machine's log, on the clock of {@link System#nanoTime}.
 * </ul>
 */
final class Peer {
    private Peer() {}

    /** What is to be done: the workload's parameters, its threads, its seed. */
    static final class Input {
        private final Map<String, Long> values = new LinkedHashMap<>();

        long get(String name) {
            return values.get(name);
        }

        int threads() {
            return (int) get("threads");
        }

        /** The boundaries of {@code thread}'s part of {@code total} items: its first, and the one after its last. */
        long[] share(long total, int thread) {
            return new long[] {total * thread / threads(), total * (thread + 1) / threads()};
        }
    }

    /** What was done. Objects and payload bytes are the workload's own count: 8 bytes for each field and word, whatever they take here. */
    static final class Outcome {
        final long checksum;
        final long operations;
        final long objects;
        final long payloadBytes;
        private final Map<String, Long> observations = new TreeMap<>();
        private long[] delays = {};

        Outcome(long checksum, long operations, long objects, long payloadBytes) {
            this.checksum = checksum;
            this.operations = operations;
            this.objects = objects;
            this.payloadBytes = payloadBytes;
        }

        /** Adds what the program saw on its way: a number that is not negative, by a lower-case name that ends in its unit. */
        Outcome observe(String name, long value) {
            if (!name.matches("[a-z0-9_]+") || value < 0) {
                throw new IllegalArgumentException("not an observation: " + name + ", " + value);
            }
            observations.put(name, value);
            return this;
        }

        /** Says how long each object took from unreachable to reclaimed, in nanoseconds and in any order; kept, not copied. */
        Outcome delays(long[] nanoseconds) {
            delays = nanoseconds;
            return this;
        }
    }

    interface Workload {
        Outcome run(Input input);
    }

    /**
     * The workload; or, if {@code turns} is not 0, the workload on one thread and on all that there are to be, so often and in turns, after once on one thread to warm up: of each the fastest turn is told, and the sum.
     */
    private static Outcome inTurns(Workload workload, Input input) {
        if (input.get("turns") == 0) {
            return workload.run(input);
        }
        long[] fastest = {Long.MAX_VALUE, Long.MAX_VALUE};
        long[] total = new long[2];
        Input one = new Input();
        one.values.putAll(input.values);
        one.values.put("threads", 1L);
        Outcome warmedUp = workload.run(one);
        long checksum = warmedUp.checksum;
        long operations = 0;
        long objects = warmedUp.objects;
        long payloadBytes = warmedUp.payloadBytes;
        for (long turn = 0; turn < input.get("turns"); turn++) {
            for (int place = 0; place < 2; place++) {
                int which = turn % 2 == 0 ? place : 1 - place;
                long begun = System.nanoTime() - STARTING.get();
                Outcome outcome = workload.run(which == 0 ? one : input);
                long time = System.nanoTime() - STARTING.get() - begun;
                fastest[which] = Math.min(fastest[which], time);
                total[which] += time;
                checksum += outcome.checksum;
                operations += outcome.operations;
                objects += outcome.objects;
                payloadBytes += outcome.payloadBytes;
            }
        }
        return new Outcome(mix(checksum), operations, objects, payloadBytes)
                .observe("one_thread_ns", fastest[0])
                .observe("all_threads_ns", fastest[1])
                .observe("one_thread_total_ns", total[0])
                .observe("all_threads_total_ns", total[1]);
    }

    interface Part<T> {
        T run(int thread);
    }

    /** Bytes allocated by threads of {@link #onThreads} and {@link #beside} that have ended. What the compiler removed is not in it, and the harness looks. */
    private static final AtomicLong ALLOCATED = new AtomicLong();

    /** For how long the calling thread has waited for threads to be started, in nanoseconds. */
    private static final ThreadLocal<Long> STARTING = ThreadLocal.withInitial(() -> 0L);

    private static void addStarting(long nanoseconds) {
        STARTING.set(STARTING.get() + nanoseconds);
    }

    /**
     * Runs {@code part} on new threads, numbered from 0, and returns their results in that order once all have ended. They begin when all of
     * them are there; what it took until then is no part of what is timed.
     */
    static <T> List<T> onThreads(int threads, Part<T> part) {
        List<T> results = new ArrayList<>(Collections.nCopies(threads, null));
        Throwable[] failures = new Throwable[threads];
        Thread[] running = new Thread[threads];
        CountDownLatch all = new CountDownLatch(1);
        // Of threads that start some of their own, these wait at the same time.
        AtomicLong startingWithin = new AtomicLong();
        long begun = System.nanoTime();
        for (int number = 0; number < threads; number++) {
            int thread = number;
            running[thread] = new Thread(() -> {
                try {
                    all.await();
                    T result = part.run(thread);
                    startingWithin.accumulateAndGet(STARTING.get(), Math::max);
                    synchronized (results) {
                        results.set(thread, result);
                    }
                } catch (Throwable failure) {
                    failures[thread] = failure;
                }
                countAllocated();
                // The virtual machine's log names the threads that had to wait for its collector.
            }, "mutator-" + thread);
            running[thread].start();
        }
        all.countDown();
        addStarting(System.nanoTime() - begun);
        for (Thread thread : running) {
            long patience = PATIENCE;
            while (thread.isAlive() && patience > 0) {
                try {
                    thread.join(STEP);
                    // Whoever waits for one that has failed, at a barrier or for a queue, waits for ever.
                    patience -= hasFailed(failures) ? STEP : 0;
                } catch (InterruptedException none) {
                    // Nobody interrupts; and the threads must end in any case.
                }
            }
        }
        addStarting(startingWithin.get());
        for (Throwable failure : failures) {
            if (failure instanceof Error) {
                throw (Error) failure;
            }
            if (failure != null) {
                throw new IllegalStateException(failure);
            }
        }
        return results;
    }

    /** For how long the other threads may go on when one has failed, in milliseconds, and how often it is looked. */
    private static final long PATIENCE = 2000;
    private static final long STEP = 100;

    private static boolean hasFailed(Throwable[] failures) {
        for (Throwable failure : failures) {
            if (failure != null) {
                return true;
            }
        }
        return false;
    }

    /** Adds what the calling thread, which is about to end, has allocated. */
    private static void countAllocated() {
        com.sun.management.ThreadMXBean bean =
                (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        ALLOCATED.addAndGet(bean.getThreadAllocatedBytes(Thread.currentThread().getId()));
    }

    /** Waits this long, in nanoseconds: as exactly as the system can, and not in whole milliseconds as {@link Thread#sleep} may. */
    static void sleep(long nanoseconds) {
        long until = System.nanoTime() + nanoseconds;
        for (long left = nanoseconds; left > 0; left = until - System.nanoTime()) {
            LockSupport.parkNanos(left);
        }
    }

    /** The median of times that are not negative; 0 of none. Sorts them. */
    static long median(long[] times) {
        Arrays.sort(times);
        return times.length == 0 ? 0 : (times[(times.length - 1) / 2] + times[times.length / 2]) / 2;
    }

    /** What {@link #beside} returns: what the work did, and the longest time that a thread beside it spent between two turns. */
    static final class Beside<T> {
        final T result;
        final long longestGap;

        Beside(T result, long longestGap) {
            this.result = result;
            this.longestGap = longestGap;
        }
    }

    /** What a thread counts in. */
    private static final class Count {
        volatile long turns;
    }

    /** Runs {@code work} while {@code threads} more threads count in an object each, and stops them when it is done. */
    static <T> Beside<T> beside(int threads, Supplier<T> work) {
        AtomicBoolean stop = new AtomicBoolean();
        CountDownLatch began = new CountDownLatch(threads);
        AtomicLong longest = new AtomicLong();
        Thread[] computing = new Thread[threads];
        long begun = System.nanoTime();
        for (int number = 0; number < threads; number++) {
            computing[number] = new Thread(() -> {
                Count count = new Count();
                began.countDown();
                long gap = 0;
                long last = System.nanoTime();
                while (!stop.get()) {
                    count.turns++;
                    long now = System.nanoTime();
                    gap = Math.max(gap, now - last);
                    last = now;
                }
                longest.accumulateAndGet(gap, Math::max);
                countAllocated();
            });
            computing[number].start();
        }
        T result;
        try {
            began.await();
            addStarting(System.nanoTime() - begun);
            result = work.get();
        } catch (InterruptedException nobody) {
            throw new IllegalStateException(nobody);
        } finally {
            stop.set(true);
        }
        for (Thread thread : computing) {
            try {
                thread.join();
            } catch (InterruptedException nobody) {
                throw new IllegalStateException(nobody);
            }
        }
        return new Beside<>(result, longest.get());
    }

    /** The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
    static long mix(long value) {
        value = (value ^ (value >>> 30)) * 0xbf58476d1ce4e5b9L;
        value = (value ^ (value >>> 27)) * 0x94d049bb133111ebL;
        return value ^ (value >>> 31);
    }

    /** xoshiro256++ (Blackman, Vigna, TOMS 2021), its state filled by SplitMix64. */
    static final class Generator {
        private long s0;
        private long s1;
        private long s2;
        private long s3;

        /** The sequence numbered {@code stream} of a run with this seed. */
        Generator(long seed, long stream) {
            long state = mix(seed) + stream * 0x9e3779b97f4a7c15L;
            s0 = mix(state += 0x9e3779b97f4a7c15L);
            s1 = mix(state += 0x9e3779b97f4a7c15L);
            s2 = mix(state += 0x9e3779b97f4a7c15L);
            s3 = mix(state + 0x9e3779b97f4a7c15L);
        }

        long next() {
            long result = Long.rotateLeft(s0 + s3, 23) + s0;
            long shifted = s1 << 17;
            s2 ^= s0;
            s3 ^= s1;
            s1 ^= s2;
            s0 ^= s3;
            s2 ^= shifted;
            s3 = Long.rotateLeft(s3, 45);
            return result;
        }

        /** A number below {@code bound}: the upper half of the 128-bit product with an unsigned draw. */
        int below(int bound) {
            long draw = next();
            return (int) (Math.multiplyHigh(draw, bound) + ((draw >> 63) & bound));
        }
    }

    /**
     * When iteration 0 has been repeated often enough. It is steady when it has taken {@code warmup-milliseconds} and, comparing the later half
     * of its runs with the earlier half, their median has fallen by less than 5 % and compilers were at work for less than 10 % of the later
     * half's time. The second is for programs that run for a given time. What is not steady after {@code warmup-most-milliseconds} is
     * measured all the same, and said not to be.
     */
    private static final class Warmup {
        private static final int LEAST_RUNS = 4;

        private final long least;
        private final long most;
        private final long began = System.nanoTime();
        /** Of each run: when it had ended, how long it took, and how long compilers had been at work by then. */
        private final List<long[]> runs = new ArrayList<>();

        Warmup(Input input) {
            least = input.get("warmup-milliseconds") * 1_000_000L;
            most = input.get("warmup-most-milliseconds") * 1_000_000L;
        }

        /** Notes a run; whether it was the last. */
        boolean isOver(long nanoseconds) {
            long compiling = ManagementFactory.getCompilationMXBean().getTotalCompilationTime() * 1_000_000L;
            runs.add(new long[] {System.nanoTime() - began, nanoseconds, compiling});
            return least == 0 || took() >= most || took() >= least && isSteady();
        }

        private long took() {
            return runs.get(runs.size() - 1)[0];
        }

        private boolean isSteady() {
            if (runs.size() < LEAST_RUNS) {
                return false;
            }
            List<long[]> earlier = runs.subList(0, runs.size() / 2);
            List<long[]> later = runs.subList(runs.size() / 2, runs.size());
            long[] from = earlier.get(earlier.size() - 1);
            long[] until = later.get(later.size() - 1);
            return typical(later) > 0.95 * typical(earlier) && until[2] - from[2] < 0.1 * (until[0] - from[0]);
        }

        private static long typical(List<long[]> runs) {
            return median(runs.stream().mapToLong(run -> run[1]).toArray());
        }

        /** For its rows; nothing if there was none. */
        String inJson() {
            return least == 0 ? "null" : String.format(
                    Locale.ROOT, "{\"ns\":%d,\"runs\":%d,\"steady\":%b}", took(), runs.size(), isSteady());
        }
    }

    /**
     * Reads NAME=NUMBER arguments, warms up, runs the workload as often as {@code iterations} says, and prints one line of JSON each time.
     * Warming up is iteration 0, of whose runs the last is printed.
     * {@code parameters} holds the workload's, with their defaults. Times are those of {@link System#nanoTime}, which is also the clock of the decoration {@code timenanos} of the
     * virtual machine's log.
     */
    static void execute(String name, Map<String, Long> parameters, Workload workload, String[] arguments) {
        Input input = new Input();
        input.values.putAll(parameters);
        input.values.put("threads", 1L);
        input.values.put("seed", 42L);
        input.values.put("iterations", 3L);
        input.values.put("turns", 0L);
        input.values.put("warmup-milliseconds", 1000L);
        input.values.put("warmup-most-milliseconds", 10000L);
        for (String argument : arguments) {
            if (argument.equals("attended")) {
                endWithParent();
                continue;
            }
            int equals = argument.indexOf('=');
            String key = argument.substring(0, Math.max(equals, 0));
            try {
                if (!input.values.containsKey(key)) {
                    throw new NumberFormatException();
                }
                input.values.put(key, Long.parseUnsignedLong(argument.substring(equals + 1)));
            } catch (NumberFormatException wrong) {
                System.err.println(name + ": cannot take '" + argument + "'; NAME=NUMBER, with these names and defaults: " + input.values);
                System.exit(2);
            }
        }
        if (input.get("threads") < 1 || input.get("threads") > 1024) {
            System.err.println(name + ": threads must be from 1 to 1024");
            System.exit(2);
        }
        String runtime = "{\"early\":true";
        try {
            runtime = identity();
        } catch (OutOfMemoryError refused) {
            giveUp(runtime, 0, refused);
            return;
        }
        Warmup warmup = new Warmup(input);
        for (long iteration = 0; iteration <= input.get("iterations"); iteration++) {
            Measured measured;
            boolean cold;
            do {
                try {
                    measured = new Measured(workload, input);
                } catch (OutOfMemoryError refused) {
                    giveUp(runtime, iteration, refused);
                    return;
                } catch (RuntimeException | Error failure) {
                    failure.printStackTrace();
                    // Whatever its other threads wait for.
                    Runtime.getRuntime().halt(1);
                    return;
                }
                // One iteration's garbage is not charged to the next. The virtual machine has by then logged whatever came before.
                System.gc();
                cold = iteration == 0 && !warmup.isOver(measured.wall);
            } while (cold);
            System.out.println(runtime + ",\"warmup\":" + warmup.inJson() + measured.inJson(iteration));
        }
    }

    /**
     * Says why there is no row, and ends the process, whatever its other threads wait for. The virtual machine throws the same error when its heap is
     * full, which is a result, and when the system has refused it a thread or memory, which is none.
     */
    private static void giveUp(String runtime, long iteration, OutOfMemoryError refused) {
        String reason = String.valueOf(refused.getMessage());
        boolean full = reason.startsWith("Java heap space") || reason.startsWith("GC overhead limit exceeded")
                || reason.startsWith("Requested array size exceeds VM limit") || refused.getMessage() == null;
        if (reason.contains("native thread")) {
            reason = "cannot start a thread: " + reason;
        }
        reason = reason.replaceAll("[\\\\\"\\p{Cntrl}]", " ");
        System.out.println(runtime + ",\"iteration\":" + iteration + ",\"" + (full ? "heap_full" : "failed") + "\":\"" + reason + "\"}");
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    /** The flags of which a collector is made: those that are in force are told. */
    private static final List<String> FLAGS = List.of(
            "UseSerialGC", "UseParallelGC", "UseG1GC", "UseZGC", "ZGenerational", "UseShenandoahGC", "UseEpsilonGC",
            "UseCompressedOops", "UseCompactObjectHeaders");

    /**
     * Which virtual machine this is, which file it is, and which of the flags are in force: how each line begins. Only ASCII, whatever the
     * system's locale.
     */
    private static String identity() {
        com.sun.management.HotSpotDiagnosticMXBean diagnostic =
                ManagementFactory.getPlatformMXBean(com.sun.management.HotSpotDiagnosticMXBean.class);
        StringBuilder flags = new StringBuilder();
        for (String flag : FLAGS) {
            try {
                if (diagnostic.getVMOption(flag).getValue().equals("true")) {
                    flags.append(flags.length() == 0 ? "" : " ").append(flag);
                }
            } catch (IllegalArgumentException unknown) {
                // A virtual machine of another version.
            }
        }
        String program = ProcessHandle.current().info().command()
                .orElse(System.getProperty("java.home") + "/bin/java");
        return "{\"runtime\":{\"name\":" + quoted(System.getProperty("java.vm.name"))
                + ",\"version\":" + quoted(System.getProperty("java.vm.version"))
                + ",\"program\":" + quoted(program)
                + ",\"details\":{\"flags\":" + quoted(flags.toString())
                + ",\"home\":" + quoted(System.getProperty("java.home"))
                + ",\"vendor\":" + quoted(System.getProperty("java.vendor.version", System.getProperty("java.vm.vendor")))
                + "}}";
    }

    /** A string in JSON. */
    private static String quoted(String text) {
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            boolean plain = c >= ' ' && c < 127 && c != '"' && c != '\\' && !Character.isSurrogate(c);
            // Half of a surrogate pair is no text.
            char safe = Character.isSurrogate(c) ? '\ufffd' : c;
            quoted.append(plain ? String.valueOf(c) : String.format(Locale.ROOT, "\\u%04x", (int) safe));
        }
        return quoted.append('"').toString();
    }

    /** An iteration as it was measured. */
    private static final class Measured {
        final Outcome outcome;
        final long from;
        final long until;
        /** Nanoseconds, without those in which threads were started. */
        final long wall;
        final long cpu;
        final long allocatedBytes;
        final long heapBytes;

        Measured(Workload workload, Input input) {
            com.sun.management.OperatingSystemMXBean system =
                    (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
            long allocatedBefore = ALLOCATED.get();
            long startingBefore = STARTING.get();
            long cpuBefore = system.getProcessCpuTime();
            from = System.nanoTime();
            outcome = inTurns(workload, input);
            until = System.nanoTime();
            cpu = system.getProcessCpuTime() - cpuBefore;
            wall = until - from - (STARTING.get() - startingBefore);
            allocatedBytes = ALLOCATED.get() - allocatedBefore;
            heapBytes = Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
        }

        /** Its line, after what the process says of itself. Not made for runs that only warm up: it would be compiled, too. */
        String inJson(long iteration) {
            String observations = outcome.observations.entrySet().stream()
                    .map(entry -> "\"" + entry.getKey() + "\":" + entry.getValue())
                    .collect(Collectors.joining(","));
            return String.format(
                    // Not the digits of the user's language.
                    Locale.ROOT,
                    ",\"iteration\":%d,\"checksum\":\"%016x\",\"operations\":%d,\"allocated_objects\":%d,\"allocated_payload_bytes\":%d,"
                            + "\"allocated_bytes\":%d,\"from_ns\":%d,\"until_ns\":%d,\"wall_ns\":%d,\"cpu_ns\":%d,\"heap_bytes\":%d,"
                            + "\"resident_bytes\":%s,\"observations\":{%s},\"delays_ns\":%s}",
                    iteration, outcome.checksum, outcome.operations, outcome.objects, outcome.payloadBytes,
                    allocatedBytes, from, until, wall, cpu, heapBytes, peakResidentBytes(),
                    observations, Arrays.toString(outcome.delays));
        }
    }

    /** The largest resident size of this process so far, where the system says. */
    private static String peakResidentBytes() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
            return lines.filter(line -> line.startsWith("VmHWM:"))
                    .map(line -> Long.toString(Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024))
                    .findFirst()
                    .orElse("null");
        } catch (IOException none) {
            return "null";
        }
    }

    /** Ends this process when standard input does: its other end is held by the harness, which may be killed. */
    private static void endWithParent() {
        Thread thread = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    continue;
                }
            } catch (IOException gone) {
                // As good as its end.
            }
            Runtime.getRuntime().halt(1);
        });
        thread.setDaemon(true);
        thread.start();
    }
}
