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
 * The workload gcbench on a Java virtual machine: the same trees and the same array as in
 * {@code harness/src/workload/gcbench.rs}, split over threads in the same way.
 *
 * <pre>
 * java -XX:+UseSerialGC -Xms52m -Xmx52m harness/peers/java/GcBench.java depth=16 array=500000 threads=1
 * harness run gcbench --heap-size 52M --peer hotspot-serial
 * </pre>
 *
 * <p>A node takes 32 bytes here (a 12-byte header, two compressed references, a word, padding), as in gc-marksweep. Both edges of every
 * tree are walked, the long-lived tree is counted and the array summed at the end.
 */
public final class GcBench {
    private static final int MIN_DEPTH = 4;

    private static final class Node {
        Node left;
        Node right;
        /** For the original's two 32-bit integers. */
        long word;

        Node() {}

        Node(Node left, Node right) {
            this.left = left;
            this.right = right;
        }

        long count() {
            long nodes = 1;
            if (left != null) {
                nodes += left.count();
            }
            if (right != null) {
                nodes += right.count();
            }
            return nodes;
        }

        /** The lengths of the left and the right edge, in nodes. */
        long edges() {
            long length = 0;
            for (Node node = this; node != null; node = node.left) {
                length++;
            }
            for (Node node = this; node != null; node = node.right) {
                length++;
            }
            return length;
        }
    }

    /** From the leaves up. */
    private static Node buildUp(int depth) {
        return depth == 0 ? new Node() : new Node(buildUp(depth - 1), buildUp(depth - 1));
    }

    /** From the root down: both children first, then each one's own. */
    private static void populate(Node node, int depth) {
        if (depth == 0) {
            return;
        }
        node.left = new Node();
        node.right = new Node();
        populate(node.left, depth - 1);
        populate(node.right, depth - 1);
    }

    /** Nodes of a full tree. */
    private static long nodes(int depth) {
        return (2L << depth) - 1;
    }

    /** Trees of a depth in each half. */
    private static long trees(int depth, int stretchDepth) {
        return 2 * nodes(stretchDepth) / nodes(depth);
    }

    private static Outcome run(Input input) {
        int depth = (int) input.get("depth");
        int length = (int) input.get("array");
        int stretchDepth = depth + 2;
        long[] results = onThreads(1, thread -> {
            // As in the original and on the other heaps, nobody adds this one up: its edges are walked and it dies.
            long stretch = buildUp(stretchDepth).edges();
            if (stretch != 2L * (stretchDepth + 1)) {
                throw new IllegalStateException("a stretch tree with edges of " + stretch);
            }
            Node longLived = new Node();
            populate(longLived, depth);
            double[] array = new double[length];
            for (int index = 0; index < length / 2; index++) {
                array[index] = 1.0 / index;
            }
            long edges = 0;
            for (long part : onThreads(input.threads(), part -> shortLived(input, depth, stretchDepth, part))) {
                edges += part;
            }
            long survivors = longLived.count();
            long sum = 0;
            for (double number : array) {
                sum += mix(Double.doubleToRawLongBits(number));
            }
            return new long[] {survivors, sum, edges};
        }).get(0);

        long nodes = nodes(stretchDepth) + results[0];
        for (int d = MIN_DEPTH; d <= depth; d += 2) {
            nodes += 2 * trees(d, stretchDepth) * nodes(d);
        }
        long checksum = mix(mix(results[0] ^ mix(results[1])) ^ results[2]);
        return new Outcome(checksum, nodes, nodes + 1, 24 * nodes + 8L * length);
    }

    /** One thread's part of the short-lived trees; the lengths of their edges, summed. */
    private static long shortLived(Input input, int maxDepth, int stretchDepth, int thread) {
        long sum = 0;
        for (int depth = MIN_DEPTH; depth <= maxDepth; depth += 2) {
            long[] trees = input.share(trees(depth, stretchDepth), thread);
            for (long tree = trees[0]; tree < trees[1]; tree++) {
                Node root = new Node();
                populate(root, depth);
                sum += root.edges();
            }
            for (long tree = trees[0]; tree < trees[1]; tree++) {
                sum += buildUp(depth).edges();
            }
        }
        return sum;
    }

    public static void main(String[] arguments) {
        execute("GcBench", Map.of("depth", 16L, "array", 500_000L), GcBench::run, arguments);
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
