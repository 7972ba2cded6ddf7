/*
 * The workload binary-trees in C with Boehm's collector: the same trees in the same order as in harness/src/workload/binary_trees.rs, split
 * over threads in the same way.
 *
 *     cc -O2 -o binary_trees binary_trees.c -lgc -lpthread
 *     ./binary_trees depth=18 threads=1 heap-bytes=67108864
 *     harness run binary-trees:depth=18 --heap-size 64M --peer boehm
 */

#include "peer.h"

enum { MIN_DEPTH = 4, MOST_DEPTHS = 32 };

typedef struct node {
    struct node *left, *right;
} node;

static node *build(int depth)
{
    node *left = NULL, *right = NULL;
    if (depth > 0) {
        left = build(depth - 1);
        right = build(depth - 1);
    }
    node *n = GC_MALLOC(sizeof *n);
    n->left = left;
    n->right = right;
    return n;
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

static void stretch(const input *in, int thread, void *nodes)
{
    (void)thread;
    *(uint64_t *)nodes = count(build((int)get(in, "depth") + 1));
}

/* One thread's part of the short-lived trees: how many nodes it counted, for each depth. */
static void short_lived(const input *in, int thread, void *counts)
{
    int max_depth = (int)get(in, "depth");
    uint64_t *mine = (uint64_t *)counts + (size_t)thread * MOST_DEPTHS;
    for (int depth = MIN_DEPTH; depth <= max_depth; depth += 2) {
        range trees = share(UINT64_C(1) << (max_depth - depth + MIN_DEPTH), in->threads, thread);
        uint64_t nodes = 0;
        for (uint64_t tree = trees.from; tree < trees.until; tree++)
            nodes += count(build(depth));
        mine[(depth - MIN_DEPTH) / 2] = nodes;
    }
}

typedef struct {
    uint64_t survivors;
    uint64_t *by_thread;
} results;

static void long_lived(const input *in, int thread, void *shared)
{
    (void)thread;
    results *r = shared;
    node *tree = build((int)get(in, "depth"));
    on_threads(in, in->threads, short_lived, r->by_thread);
    r->survivors = count(tree);
}

static outcome run(const input *in)
{
    int depth = (int)get(in, "depth");
    uint64_t first;
    on_threads(in, 1, stretch, &first);
    results r = { 0, calloc((size_t)in->threads * MOST_DEPTHS, sizeof *r.by_thread) };
    if (!r.by_thread)
        fail("out of memory");
    on_threads(in, 1, long_lived, &r);

    uint64_t checksum = mix(mix(first) ^ r.survivors);
    uint64_t operations = first + r.survivors;
    for (int d = MIN_DEPTH; d <= depth; d += 2) {
        uint64_t nodes = 0;
        for (int thread = 0; thread < in->threads; thread++)
            nodes += r.by_thread[thread * MOST_DEPTHS + (d - MIN_DEPTH) / 2];
        checksum = mix(checksum ^ nodes);
        operations += nodes;
    }
    free(r.by_thread);
    return (outcome){ checksum, operations, operations, 16 * operations };
}

int main(int count, char **arguments)
{
    parameter parameters[] = { { "depth", 16 }, { NULL, 0 } };
    return execute(count, arguments, parameters, run);
}
