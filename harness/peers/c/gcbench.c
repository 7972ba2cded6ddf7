/*
 * The workload gcbench in C with Boehm's collector: the same trees and the same array as in harness/src/workload/gcbench.rs, split over
 * threads in the same way.
 *
 *     cc -O2 -o gcbench gcbench.c -lgc -lpthread
 *     ./gcbench depth=16 array=500000 threads=1 heap-bytes=54525952
 *     harness run gcbench --heap-size 52M --peer boehm
 */

#include "peer.h"

enum { MIN_DEPTH = 4 };

typedef struct node {
    struct node *left, *right;
    uint64_t word; /* for the original's two 32-bit integers */
} node;

/* From the leaves up. */
static node *build_up(int depth)
{
    node *left = NULL, *right = NULL;
    if (depth > 0) {
        left = build_up(depth - 1);
        right = build_up(depth - 1);
    }
    node *n = GC_MALLOC(sizeof *n);
    n->left = left;
    n->right = right;
    return n;
}

/* From the root down: both children first, then each one's own. */
static void populate(node *n, int depth)
{
    if (depth == 0)
        return;
    n->left = GC_MALLOC(sizeof *n);
    n->right = GC_MALLOC(sizeof *n);
    populate(n->left, depth - 1);
    populate(n->right, depth - 1);
}

static uint64_t count(const node *tree)
{
    uint64_t nodes = 1;
    if (tree->left)
        nodes += count(tree->left);
    if (tree->right)
        nodes += count(tree->right);
    return nodes;
}

/* The lengths of a tree's left and right edge, in nodes. */
static uint64_t edges(const node *tree)
{
    uint64_t length = 0;
    for (const node *n = tree; n; n = n->left)
        length++;
    for (const node *n = tree; n; n = n->right)
        length++;
    return length;
}

/* Nodes of a full tree. */
static uint64_t nodes_of(int depth)
{
    return (UINT64_C(2) << depth) - 1;
}

/* Trees of a depth in each half. */
static uint64_t trees_of(int depth, int stretch_depth)
{
    return 2 * nodes_of(stretch_depth) / nodes_of(depth);
}

/* One thread's part of the short-lived trees; the lengths of their edges, summed. */
static void short_lived(const input *in, int thread, void *sums)
{
    int max_depth = (int)get(in, "depth");
    uint64_t sum = 0;
    for (int depth = MIN_DEPTH; depth <= max_depth; depth += 2) {
        range trees = share(trees_of(depth, max_depth + 2), in->threads, thread);
        for (uint64_t tree = trees.from; tree < trees.until; tree++) {
            node *root = GC_MALLOC(sizeof *root);
            populate(root, depth);
            sum += edges(root);
        }
        for (uint64_t tree = trees.from; tree < trees.until; tree++)
            sum += edges(build_up(depth));
    }
    ((uint64_t *)sums)[thread] = sum;
}

typedef struct {
    uint64_t survivors, numbers, edges;
} results;

static void long_lived(const input *in, int thread, void *shared)
{
    (void)thread;
    results *r = shared;
    int depth = (int)get(in, "depth");
    uint64_t length = get(in, "array");
    if (edges(build_up(depth + 2)) != 2 * ((uint64_t)depth + 3))
        fail("a stretch tree with wrong edges");

    node *tree = GC_MALLOC(sizeof *tree);
    populate(tree, depth);
    double *array = GC_MALLOC_ATOMIC(length * sizeof *array);
    memset(array, 0, length * sizeof *array);
    for (uint64_t i = 0; i < length / 2; i++)
        array[i] = 1.0 / (double)i;

    uint64_t *sums = calloc((size_t)in->threads, sizeof *sums);
    if (!sums)
        fail("out of memory");
    on_threads(in, in->threads, short_lived, sums);
    for (int t = 0; t < in->threads; t++)
        r->edges += sums[t];
    free(sums);

    r->survivors = count(tree);
    for (uint64_t i = 0; i < length; i++) {
        uint64_t bits;
        memcpy(&bits, &array[i], sizeof bits);
        r->numbers += mix(bits);
    }
}

static outcome run(const input *in)
{
    int depth = (int)get(in, "depth");
    results r = { 0, 0, 0 };
    on_threads(in, 1, long_lived, &r);
    uint64_t nodes = nodes_of(depth + 2) + r.survivors;
    for (int d = MIN_DEPTH; d <= depth; d += 2)
        nodes += 2 * trees_of(d, depth + 2) * nodes_of(d);
    return (outcome){ mix(mix(r.survivors ^ mix(r.numbers)) ^ r.edges), nodes, nodes + 1, 24 * nodes + 8 * get(in, "array") };
}

int main(int count, char **arguments)
{
    parameter parameters[] = { { "depth", 16 }, { "array", 500000 }, { NULL, 0 } };
    return execute(count, arguments, parameters, run);
}
