import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { createBatcher } from '../../../../src/stores/redis/batch.js'

/** A batcher of numbers, and the commands that it has sent. `reply` gets the items of each command. */
function setUp(reply: (items: readonly number[]) => Promise<unknown>, timeout = 5) {
  const sent: number[][] = []
  const batcher = createBatcher<number>(
    {
      async one(item) {
        sent.push([item])
        return (await reply([item])) as unknown
      },
      async many(items) {
        sent.push([...items])
        return reply(items)
      },
    },
    timeout,
    () => new Error('too late'),
  )
  return { batcher, sent }
}

const outcomes = async (calls: readonly Promise<unknown>[]) =>
  (await Promise.allSettled(calls)).map((each) => (each.status === 'fulfilled' ? each.value : 'rejected'))
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at)
/** The reply to one item is the item times ten. */
const tenfold = async (items: readonly number[]) => {
  const replies = items.map((item) => item * 10)
  return replies.length === 1 ? replies[0] : replies
}

describe('createBatcher', () => {
  it('sends an item at once while no more than four are pending', async () => {
    const { batcher, sent } = setUp(tenfold)
    for (const item of [1, 2, 3]) {
      const answer = batcher.send(item)
      expect(sent.at(-1)).toEqual([item])
      expect(await answer).toBe(item * 10)
    }
    expect(sent).toEqual([[1], [2], [3]])
    const answers = numbers(4, 8).map(batcher.send)
    expect(sent.slice(3)).toEqual([[4], [5], [6], [7]])
    expect(await Promise.all(answers)).toEqual([40, 50, 60, 70])
  })

  it('sends the items of one turn together at its end, and those of the next turn after them', async () => {
    const { batcher, sent } = setUp((items) => pause(20, items.length === 1 ? items[0] : items))
    const answers = numbers(-3, 4).map(batcher.send)
    const alone = [[-3], [-2], [-1], [0]]
    expect(sent).toEqual(alone)
    await turn()
    expect(sent).toEqual([...alone, [1, 2, 3]])
    answers.push(...numbers(4, 6).map(batcher.send))
    await turn()
    expect(sent).toEqual([...alone, [1, 2, 3], [4, 5]])
    answers.push(batcher.send(6))
    await turn()
    expect(sent.at(-1)).toEqual([6])
    expect(await Promise.all(answers)).toEqual(numbers(-3, 7))
  })

  it('sends at most 500 items in one command', async () => {
    const { batcher, sent } = setUp(tenfold)
    const answers = numbers(0, 1250).map(batcher.send)
    expect(await Promise.all(answers)).toEqual(numbers(0, 1250).map((item) => item * 10))
    expect(sent.map(({ length }) => length)).toEqual([1, 1, 1, 1, 500, 500, 246])
  })

  it('gives each of two batches under way its own replies, whichever is answered first', async () => {
    const { batcher } = setUp((items) => pause(items.includes(1) ? 60 : 10, items.length === 1 ? 0 : items))
    const first = numbers(-3, 3).map(batcher.send)
    await turn()
    const second = numbers(3, 6).map(batcher.send)
    expect(await Promise.all(second)).toEqual([3, 4, 5])
    expect((await Promise.all(first)).slice(4)).toEqual([1, 2])
  })

  it.each([[null], ['OK'], [[10]], [[10, 20, 30]], [{ 0: 10, 1: 20, length: 2 }]])(
    'rejects both items of a batch whose reply is %j',
    async (reply) => {
      const { batcher } = setUp(async (items) => (items.length === 1 ? 0 : reply))
      expect(await outcomes(numbers(-3, 3).map(batcher.send))).toEqual([0, 0, 0, 0, 'rejected', 'rejected'])
    },
  )

  it('rejects each item of a failed batch, and no other', async () => {
    const { batcher } = setUp(async (items) => {
      if (items.includes(1)) throw new Error('failed')
      return tenfold(items)
    })
    const failing = outcomes(numbers(-3, 3).map(batcher.send))
    await turn()
    expect(await outcomes([batcher.send(3)])).toEqual([30])
    expect((await failing).slice(3)).toEqual([0, 'rejected', 'rejected'])
    expect(batcher.pending).toBe(0)
  })

  it('rejects at the deadline alone and in a batch, and counts the items until they are answered', async () => {
    const { batcher } = setUp((items) => pause(400, items.length === 1 ? items[0] : items), 0.05)
    const began = performance.now()
    const answers = numbers(0, 8).map(batcher.send)
    for (const answer of answers) await expect(answer).rejects.toThrow('too late')
    expect(performance.now() - began).toBeLessThan(390)
    expect(batcher.pending).toBe(8)
    await pause(500)
    expect(batcher.pending).toBe(0)
  })

  it('rejects no item of a later batch at the deadline of an earlier one', async () => {
    const { batcher } = setUp(
      (items) => pause(items.includes(1) ? 600 : 200, items.length === 1 ? items[0] : items),
      0.3,
    )
    const early = outcomes(numbers(-3, 3).map(batcher.send))
    await pause(200)
    const later = Promise.all(numbers(3, 5).map(batcher.send))
    expect(await later).toEqual([3, 4])
    expect((await early).slice(4)).toEqual(['rejected', 'rejected'])
  })
})
