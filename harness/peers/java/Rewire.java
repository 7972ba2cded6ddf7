import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;

/**
 * The workload rewire on a Java virtual machine: the same operations as in {@code harness/src/workload/rewire.rs}, drawn from the same
 * generators, on one table that all threads share.
 *
 * <pre>
 * java -XX:+UseSerialGC -Xms14m -Xmx14m harness/peers/java/Rewire.java nodes=100000 threads=1 seed=42
 * harness run rewire --heap-size 14M --peer hotspot-serial
 * </pre>
 *
 * <p>A node takes 32 bytes here (a 12-byte header, two compressed references, a word, padding), as in gc-marksweep; an entry of the
 * table 4, and 8 there: half the memory to be read at random.
 */
public final class Rewire {
    /** Operations drawn from one generator. */
    private static final long BLOCK = 4096;
    /** Operations for each node of the table. */
    private static final long TURNS = 100;

    private static final class Node {
        Node a;
        Node b;
        long word;
    }

    private static Outcome run(Input input) {
        int nodes = (int) input.get("nodes");
        long operations = TURNS * nodes;
        long blocks = (operations + BLOCK - 1) / BLOCK;
        long seed = input.get("seed");
        long checksum = onThreads(1, builder -> {
            Node[] table = build(nodes, seed);
            long sum = 0;
            for (long part : onThreads(input.threads(), thread -> {
                long[] share = input.share(blocks, thread);
                long digest = 0;
                for (long block = share[0]; block < share[1]; block++) {
                    digest += rewire(table, Math.min(BLOCK, operations - block * BLOCK), new Generator(seed, block));
                }
                return digest;
            })) {
                sum += part;
            }
            return sum;
        }).get(0);
        return new Outcome(checksum, operations, nodes + 1L, 32L * nodes);
    }

    /** Makes the nodes, then points each one's field a at a random one. */
    private static Node[] build(int nodes, long seed) {
        Node[] table = new Node[nodes];
        for (int index = 0; index < nodes; index++) {
            Node node = new Node();
            node.word = index;
            table[index] = node;
        }
        // Streams of the operations count from 0; this one is none of them.
        Generator random = new Generator(seed, -1);
        for (Node node : table) {
            node.a = table[random.below(nodes)];
        }
        return table;
    }

    /** One block of operations; a digest of the words seen. */
    private static long rewire(Node[] table, long count, Generator random) {
        long sum = 0;
        for (long operation = 0; operation < count; operation++) {
            Node moved = table[random.below(table.length)].a;
            table[random.below(table.length)].b = moved;
            sum += mix(moved.word);
        }
        return sum;
    }

    public static void main(String[] arguments) {
        execute("Rewire", Map.of("nodes", 100_000L), Rewire::run, arguments);
    }

    // ---- From here to the end the same text in every program of this directory, used or not: a source that is launched alone cannot import
    // ---- another. A test of the harness compares the copies.

    /** What is to be done: the workload's parameters, its threads, its seed. */
    private static final class Input {
        final Map<String, Long> values = new LinkedHashMap<>();

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
    private static final class Outcome {
        final long checksum;
        final long operations;
        final long objects;
        final long payloadBytes;

        Outcome(long checksum, long operations, long objects, long payloadBytes) {
            this.checksum = checksum;
            this.operations = operations;
            this.objects = objects;
            this.payloadBytes = payloadBytes;
        }
    }

    private interface Workload {
        Outcome run(Input input);
    }

    private interface Part<T> {
        T run(int thread);
    }

    /** Bytes allocated by threads that have ended. What the compiler removed is not in it, and the harness looks. */
    private static final AtomicLong ALLOCATED = new AtomicLong();

    /** Runs {@code part} on new threads, numbered from 0, and returns their results in that order once all have ended. */
    private static <T> List<T> onThreads(int threads, Part<T> part) {
        List<T> results = new ArrayList<>(Collections.nCopies(threads, null));
        Throwable[] failures = new Throwable[threads];
        Thread[] running = new Thread[threads];
        for (int number = 0; number < threads; number++) {
            int thread = number;
            running[thread] = new Thread(() -> {
                try {
                    T result = part.run(thread);
                    synchronized (results) {
                        results.set(thread, result);
                    }
                } catch (Throwable failure) {
                    failures[thread] = failure;
                }
                com.sun.management.ThreadMXBean bean =
                        (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
                ALLOCATED.addAndGet(bean.getThreadAllocatedBytes(Thread.currentThread().getId()));
            });
            running[thread].start();
        }
        for (Thread thread : running) {
            boolean ended = false;
            while (!ended) {
                try {
                    thread.join();
                    ended = true;
                } catch (InterruptedException none) {
                    // Nobody interrupts; and the threads must end in any case.
                }
            }
        }
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

    /** The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
    private static long mix(long value) {
        value = (value ^ (value >>> 30)) * 0xbf58476d1ce4e5b9L;
        value = (value ^ (value >>> 27)) * 0x94d049bb133111ebL;
        return value ^ (value >>> 31);
    }

    /** xoshiro256++ (Blackman, Vigna, TOMS 2021), its state filled by SplitMix64. */
    private static final class Generator {
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
     * Reads NAME=VALUE arguments, runs the workload once to warm up and then as often as {@code iterations} says, and prints one line of
     * JSON each time. Times are those of {@link System#nanoTime}, which is also the clock of the decoration {@code timenanos} of the
     * virtual machine's log.
     */
    private static void execute(String name, Map<String, Long> parameters, Workload workload, String[] arguments) {
        Input input = new Input();
        input.values.putAll(parameters);
        input.values.put("threads", 1L);
        input.values.put("seed", 42L);
        input.values.put("iterations", 3L);
        input.values.put("warmup-seconds", 2L);
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
        long began = System.nanoTime();
        for (long iteration = 0; iteration <= input.get("iterations"); iteration++) {
            String line;
            boolean cold;
            do {
                try {
                    line = measure(workload, input, iteration);
                } catch (OutOfMemoryError full) {
                    System.out.println("{\"iteration\":" + iteration + ",\"heap_full\":\"" + full.getMessage() + "\"}");
                    return;
                }
                // One iteration's garbage is not charged to the next. The virtual machine has by then logged whatever came before.
                System.gc();
                cold = iteration == 0 && System.nanoTime() - began < input.get("warmup-seconds") * 1_000_000_000L;
            } while (cold);
            System.out.println(line);
        }
    }

    private static String measure(Workload workload, Input input, long iteration) {
        com.sun.management.OperatingSystemMXBean system =
                (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long allocated = ALLOCATED.get();
        long cpu = system.getProcessCpuTime();
        long start = System.nanoTime();
        Outcome outcome = workload.run(input);
        long end = System.nanoTime();
        cpu = system.getProcessCpuTime() - cpu;
        allocated = ALLOCATED.get() - allocated;
        long used = Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
        return String.format(
                "{\"iteration\":%d,\"checksum\":\"%016x\",\"operations\":%d,\"allocated_objects\":%d,\"allocated_payload_bytes\":%d,"
                        + "\"allocated_bytes\":%d,\"from_ns\":%d,\"until_ns\":%d,\"wall_ns\":%d,\"cpu_ns\":%d,\"heap_bytes\":%d,"
                        + "\"resident_bytes\":%s}",
                iteration, outcome.checksum, outcome.operations, outcome.objects, outcome.payloadBytes,
                allocated, start, end, end - start, cpu, used, peakResidentBytes());
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
