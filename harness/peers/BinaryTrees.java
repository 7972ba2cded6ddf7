/**
 * The workload binary-trees on a Java virtual machine: the same trees in the same order as
 * {@code harness/src/workload/binary_trees.rs}, on one thread.
 *
 * <p>Run from source, at the heap size to be compared (the first iteration warms the compiler up):
 *
 * <pre>
 * java -XX:+UseSerialGC   -Xms64m -Xmx64m harness/peers/BinaryTrees.java 18 5
 * java -XX:+UseParallelGC -Xms64m -Xmx64m harness/peers/BinaryTrees.java 18 5
 * target/release/harness run binary-trees:depth=18 --heap-size 64M
 * </pre>
 *
 * <p>A node takes 24 bytes here (a 12-byte header, two compressed references, padding) and 32 in gc-marksweep and gc-rc. The number of
 * nodes counted is printed and must be the operations of the harness's rows; it also keeps the compiler from deleting
 * the trees.
 */
public final class BinaryTrees {
    private static final int MIN_DEPTH = 4;

    private static final class Node {
        private final Node left;
        private final Node right;

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
    }

    private static Node build(int depth) {
        return depth == 0 ? new Node(null, null) : new Node(build(depth - 1), build(depth - 1));
    }

    private static long run(int maxDepth) {
        long nodes = build(maxDepth + 1).count();
        Node longLived = build(maxDepth);
        for (int depth = MIN_DEPTH; depth <= maxDepth; depth += 2) {
            for (int tree = 0; tree < 1 << (maxDepth - depth + MIN_DEPTH); tree++) {
                nodes += build(depth).count();
            }
        }
        return nodes + longLived.count();
    }

    public static void main(String[] arguments) {
        if (arguments.length != 2) {
            System.err.println("usage: java BinaryTrees.java DEPTH ITERATIONS");
            System.exit(2);
        }
        int depth = Integer.parseInt(arguments[0]);
        int iterations = Integer.parseInt(arguments[1]);
        for (int iteration = 0; iteration < iterations; iteration++) {
            long start = System.nanoTime();
            long nodes = run(depth);
            double perNode = (System.nanoTime() - start) / (double) nodes;
            System.out.printf("iteration %d: %d nodes, %.2f ns a node%n", iteration, nodes, perNode);
        }
    }
}
