## The works of gc-rc/benches/against_rc in Nim, for its counting with a cycle collector (ORC): the same objects from the same generator.
##
##     nim c --gc:orc -d:danger counting.nim
##     ./counting binary-trees
##
## Prints the checksum and the nanoseconds of processor time of the second of two rounds. A list is not among them: dropping a long one recurses and overflows the stack.

import std/[os, times]

const
  Depth = 18
  Rewired = 100_000
  Moves = 100 * Rewired
  Churned = 100_000
  Replacements = 20 * Churned
  Ring = 10
  RingsHeld = 20_000
  RingsDropped = 180_000

# SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).

func mix(seed: uint64): uint64 =
  var value = (seed xor (seed shr 30)) * 0xbf58476d1ce4e5b9'u64
  value = (value xor (value shr 27)) * 0x94d049bb133111eb'u64
  value xor (value shr 31)

type Random = object
  state: uint64

func next(random: var Random): uint64 =
  random.state += 0x9e3779b97f4a7c15'u64
  mix(random.state)

func below(random: var Random, bound: uint64): int =
  ## The upper half of the 128-bit product of a draw and a bound of at most 32 bits.
  let draw = random.next()
  int(((draw shr 32) * bound + (((draw and 0xffffffff'u64) * bound) shr 32)) shr 32)

# ---- binary-trees

type Tree = ref object
  left, right: Tree

proc build(depth: int): Tree =
  if depth == 0: Tree()
  else: Tree(left: build(depth - 1), right: build(depth - 1))

func count(tree: Tree): uint64 =
  result = 1
  if tree.left != nil: result += count(tree.left)
  if tree.right != nil: result += count(tree.right)

proc binaryTrees(): uint64 =
  result = count(build(Depth + 1))
  let long = build(Depth)
  for depth in countup(4, Depth, 2):
    for _ in 1 .. 1 shl (Depth - depth + 4):
      result += count(build(depth))
  result += count(long)

# ---- rewire and churn

type Node = ref object
  a, b: Node
  word: uint64

proc table(nodes: int): seq[Node] =
  for index in 0 ..< nodes:
    result.add Node(word: uint64(index))

proc rewire(): uint64 =
  let table = table(Rewired)
  var random = Random(state: 1)
  for turn in 0 ..< Rewired + Moves:
    let i = random.below(Rewired)
    let j = random.below(Rewired)
    if turn < Rewired:
      table[i].a = table[j]
    else:
      let moved = table[i].a
      if moved != nil:
        table[j].b = moved
        result += mix(moved.word)

proc churn(): uint64 =
  var table = table(Churned)
  var random = Random(state: 2)
  for turn in 0 ..< Replacements:
    let i = random.below(Churned)
    let j = random.below(Churned)
    let k = random.below(Churned)
    let clears = (random.next() and 3) != 0
    let fresh = Node(a: table[j], b: table[k], word: uint64(turn))
    result += mix(fresh.a.word)
    result += mix(fresh.b.word)
    if clears:
      table[i].a = nil
      table[i].b = nil
    else:
      table[i].a = fresh
      fresh.b = table[i]
    table[i] = fresh

# ---- rings

type Link = ref object
  next: Link
  word: uint64

proc ring(first: uint64): Link =
  let tail = Link(word: first)
  result = tail
  for position in 1'u64 ..< Ring:
    result = Link(next: result, word: first + position)
  tail.next = result

proc rings(): uint64 =
  var held = newSeqOfCap[Link](RingsHeld)
  for index in 0 ..< RingsHeld + RingsDropped:
    let head = ring(uint64(Ring * index))
    result += mix(head.word)
    if index < RingsHeld:
      held.add head

# ----

proc work(name: string): uint64 =
  case name
  of "binary-trees": binaryTrees()
  of "rewire": rewire()
  of "churn": churn()
  of "rings": rings()
  else: quit("there is no work '" & name & "'; there are binary-trees, rewire, churn, rings", 2)

if paramCount() != 1:
  quit("name a work: binary-trees, rewire, churn, rings", 2)
discard work(paramStr(1))
let begun = cpuTime()
let checksum = work(paramStr(1))
echo checksum, " ", int((cpuTime() - begun) * 1e9)
