import java.util.ArrayDeque;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * The experiment pipeline on a Java virtual machine: the same stages as in {@code harness/src/experiment/pipeline.rs}, joined by a list under a
 * monitor that is polled, or by a {@link LinkedBlockingQueue}.
 *
 * <pre>
 * javac -d /tmp/peers harness/peers/java/Peer.java harness/peers/java/Pipeline.java
 * java -XX:+UseSerialGC -Xmx64m -cp /tmp/peers Pipeline items=1000 queue=0
 * harness claims pipeline --peer hotspot-serial
 * </pre>
 *
 * <p>A poll in vain is a get that failed. Of wakes for nothing the standard queue tells nothing.
 */
public final class Pipeline {
    private static final int IMAGE = 64;
    private static final int SMALL_IMAGE = 8;
    private static final int ROUNDS = 4;
    private static final long PACKET = 10;

    /** What closes a queue. */
    private static final Object CLOSED = new Object();

    private static final class Item {
        final long number;

        Item(long number) {
            this.number = number;
        }
    }

    /** A queue between two stages, with one thread on either side. */
    private abstract static class Stage {
        long found;
        volatile long empty;
        volatile long longest;
        /** Puts after which the queue was longer than it may be. */
        long overfull;
        /** For how long its worker slept for want of items, in nanoseconds. */
        volatile long slept;
        private long unfinished;

        abstract void put(Object item) throws InterruptedException;

        /** The oldest item, or {@link #CLOSED} once the queue is closed and empty. */
        abstract Object get() throws InterruptedException;

        /** Waits until every item has been declared done; returns how often it looked in vain. */
        abstract long join() throws InterruptedException;

        abstract void close() throws InterruptedException;

        synchronized void begin() {
            unfinished++;
        }

        synchronized void taskDone() {
            if (--unfinished == 0) {
                notifyAll();
            }
        }

        synchronized boolean isFinished() {
            return unfinished == 0;
        }

        synchronized void awaitFinished() throws InterruptedException {
            while (unfinished > 0) {
                wait();
            }
        }
    }

    private static final class Polled extends Stage {
        private final Queue<Object> items = new ArrayDeque<>();
        private final long pause;
        private final boolean spins;

        Polled(long pause, boolean spins) {
            this.pause = pause;
            this.spins = spins;
        }

        @Override
        synchronized void put(Object item) {
            begin();
            items.add(item);
            longest = Math.max(longest, items.size());
        }

        private synchronized Object poll() {
            return items.poll();
        }

        @Override
        Object get() throws InterruptedException {
            while (true) {
                Object item = poll();
                if (item != null) {
                    found += item == CLOSED ? 0 : 1;
                    return item;
                }
                empty++;
                if (spins) {
                    Thread.onSpinWait();
                } else {
                    long begun = System.nanoTime();
                    Thread.sleep(pause);
                    slept += System.nanoTime() - begun;
                }
            }
        }

        @Override
        long join() throws InterruptedException {
            long polls = 0;
            while (!isFinished()) {
                polls++;
                Thread.sleep(pause);
            }
            return polls;
        }

        @Override
        synchronized void close() {
            items.add(CLOSED);
        }
    }

    private static final class Blocking extends Stage {
        private final LinkedBlockingQueue<Object> items;
        private final int capacity;

        Blocking(int capacity) {
            this.capacity = capacity;
            items = new LinkedBlockingQueue<>(capacity);
        }

        @Override
        void put(Object item) throws InterruptedException {
            begin();
            items.put(item);
            int length = items.size();
            longest = Math.max(longest, length);
            overfull += length > capacity ? 1 : 0;
        }

        @Override
        Object get() throws InterruptedException {
            Object item = items.take();
            found += item == CLOSED ? 0 : 1;
            return item;
        }

        @Override
        long join() throws InterruptedException {
            awaitFinished();
            return 0;
        }

        @Override
        void close() throws InterruptedException {
            items.put(CLOSED);
        }
    }

    /** What the feeder has seen when every item is done. */
    private static final class End {
        long waiterPolls;
        /** How long it took, and for how much of that the last stage slept, in nanoseconds. */
        long worked;
        long starved;
        /** Looks at an empty queue until then, and workers that went on looking. */
        long empty;
        long stillPolling;

        void lookOn(Stage[] queues, long milliseconds) throws InterruptedException {
            long[] before = new long[queues.length];
            for (int index = 0; index < queues.length; index++) {
                before[index] = queues[index].empty;
                empty += before[index];
            }
            Thread.sleep(milliseconds);
            for (int index = 0; milliseconds > 0 && index < queues.length; index++) {
                stillPolling += queues[index].empty > before[index] ? 1 : 0;
            }
        }
    }

    private static long[] download(Item item) {
        long[] image = new long[IMAGE];
        for (int index = 0; index < IMAGE; index++) {
            image[index] = Peer.mix(item.number * IMAGE + index);
        }
        return image;
    }

    private static long[] resize(long[] image) {
        long[] small = new long[SMALL_IMAGE];
        int each = IMAGE / SMALL_IMAGE;
        for (int index = 0; index < SMALL_IMAGE; index++) {
            for (int of = index * each; of < (index + 1) * each; of++) {
                long word = image[of];
                for (int round = 0; round < ROUNDS; round++) {
                    word = Peer.mix(word);
                }
                small[index] += word;
            }
        }
        return small;
    }

    private static Peer.Outcome run(Peer.Input input) {
        long items = input.get("items");
        long kind = input.get("queue");
        long pause = input.get("sleep-milliseconds");
        long packet = input.get("packet-microseconds");
        int capacity = input.get("capacity") == 0 ? Integer.MAX_VALUE : (int) input.get("capacity");
        Stage[] queues = new Stage[3];
        for (int index = 0; index < queues.length; index++) {
            queues[index] = kind == 2 ? new Blocking(capacity) : new Polled(pause, kind == 1);
        }
        boolean slowDownload = input.get("slow") == 1;
        End end = new End();
        List<Long> sums = Peer.onThreads(4, thread -> {
            try {
                switch (thread) {
                    case 0:
                        long begun = System.nanoTime();
                        for (long number = 0; number < items; number++) {
                            queues[0].put(new Item(number));
                        }
                        for (Stage queue : queues) {
                            end.waiterPolls += queue.join();
                        }
                        end.worked = System.nanoTime() - begun;
                        end.starved = queues[2].slept;
                        end.lookOn(queues, kind == 0 ? 5 * pause : 0);
                        for (Stage queue : queues) {
                            queue.close();
                        }
                        return 0L;
                    case 1:
                    case 2:
                        Stage from = queues[thread - 1];
                        long done = 0;
                        for (Object item = from.get(); item != CLOSED; item = from.get()) {
                            if (thread == 1 && slowDownload) {
                                slow(++done, packet);
                            }
                            queues[thread].put(thread == 1 ? download((Item) item) : resize((long[]) item));
                            from.taskDone();
                        }
                        return 0L;
                    default:
                        return upload(queues[2], slowDownload ? 0 : packet);
                }
            } catch (InterruptedException none) {
                throw new IllegalStateException(none);
            }
        });
        long sum = 0;
        for (long part : sums) {
            sum += part;
        }
        long found = 0;
        long overfull = 0;
        long longest = 0;
        for (Stage queue : queues) {
            found += queue.found;
            overfull += queue.overfull;
            longest = Math.max(longest, queue.longest);
        }
        // An item, its two images, and a node in each of three queues.
        return new Peer.Outcome(
                        Peer.mix(sum), items, 6 * items + 3, (8 + 8 * IMAGE + 8 * SMALL_IMAGE + 3 * 16) * items + 3 * 24)
                .observe("polls_count", found + end.empty)
                .observe("empty_polls_count", end.empty)
                .observe("waiter_polls_count", end.waiterPolls)
                .observe("waiter_looks_count", end.waiterPolls + queues.length)
                .observe("workers_count", queues.length)
                .observe("still_polling_workers_count", end.stillPolling)
                .observe("starved_ns", end.starved)
                .observe("worked_ns", end.worked)
                .observe("puts_count", found)
                .observe("overfull_puts_count", overfull)
                .observe("longest_last_queue_items", queues[2].longest)
                .observe("longest_queue_items", longest);
    }

    /** Before an item of the stage that sets the pace: it waits after every packet. */
    private static void slow(long number, long packetMicroseconds) throws InterruptedException {
        if (number % PACKET == 0 && packetMicroseconds > 0) {
            Thread.sleep(packetMicroseconds / 1000, (int) (packetMicroseconds % 1000) * 1000);
        }
    }

    private static long upload(Stage from, long packetMicroseconds) throws InterruptedException {
        long sum = 0;
        long sent = 0;
        for (Object item = from.get(); item != CLOSED; item = from.get()) {
            slow(++sent, packetMicroseconds);
            long digest = 0;
            for (long word : (long[]) item) {
                digest = Peer.mix(digest ^ word);
            }
            sum += digest;
            from.taskDone();
        }
        return sum;
    }

    public static void main(String[] arguments) {
        Peer.execute(
                "Pipeline",
                Map.of("items", 1_000L, "queue", 2L, "capacity", 0L, "sleep-milliseconds", 10L, "packet-microseconds", 1_000L,
                        "slow", 0L),
                Pipeline::run,
                arguments);
    }
}
