/** The maximum number of items in one command. Bounds the time for which it blocks the server. */
const MAX_ITEMS = 500

/**
 * While no more items than this are pending, each is sent at once: to wait for the end of the turn costs more
 * than it saves.
 */
const FEW = 4

/** The two commands of a batcher. Each gets no item twice. */
export interface BatchCommands<Item> {
  /** Resolves to the reply for one item. */
  one(item: Item): Promise<unknown>
  /** Resolves to an array with one reply for each item, in order. */
  many(items: readonly Item[]): Promise<unknown>
}

export interface Batcher<Item> {
  /**
   * Resolves to the reply for this item. Rejects with `timeoutError()` after `timeout` seconds at the latest,
   * and if the command of its batch fails or its reply does not have one member for each item.
   */
  send(item: Item): Promise<unknown>
  /** The number of items that Redis has not answered, including those that were rejected meanwhile. */
  readonly pending: number
}

interface Call<Item> {
  readonly item: Item
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: unknown) => void
}

/** Calls with one deadline: that of the first. */
interface Batch<Item> {
  readonly calls: Call<Item>[]
  readonly timer: NodeJS.Timeout
}

/**
 * Collects the items of one turn of the event loop, and sends them in one command at its end. While few are
 * pending, an item is sent at once.
 */
export function createBatcher<Item>(
  { one, many }: BatchCommands<Item>,
  timeout: number,
  timeoutError: () => Error,
): Batcher<Item> {
  let collected: Batch<Item> | undefined
  let pending = 0

  function send(item: Item): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call = { item, resolve, reject }
      pending += 1
      if (pending <= FEW) void deliver(createBatch(call))
      else collect(call)
    })
  }

  function createBatch(first: Call<Item>): Batch<Item> {
    const calls = [first]
    const timer = setTimeout(() => rejectAll(calls, timeoutError()), Math.ceil(timeout * 1000))
    timer.unref()
    return { calls, timer }
  }

  function collect(call: Call<Item>): void {
    if (collected === undefined) {
      collected = createBatch(call)
      setImmediate(endTurn, collected)
    } else collected.calls.push(call)
    if (collected.calls.length === MAX_ITEMS) endTurn(collected)
  }

  function endTurn(batch: Batch<Item>): void {
    // A full batch was sent before the end of the turn.
    if (batch !== collected) return
    collected = undefined
    void deliver(batch)
  }

  async function deliver({ calls, timer }: Batch<Item>): Promise<void> {
    const [first] = calls
    try {
      if (calls.length === 1 && first !== undefined) first.resolve(await one(first.item))
      else resolveAll(calls, await many(calls.map(({ item }) => item)))
    } catch (error) {
      rejectAll(calls, error)
    }
    clearTimeout(timer)
    pending -= calls.length
  }

  return {
    send,
    get pending() {
      return pending
    },
  }
}

function resolveAll(calls: readonly Call<unknown>[], replies: unknown): void {
  if (!Array.isArray(replies) || replies.length !== calls.length) {
    throw new Error('ajwt/redis: the reply does not have one member for each item of the batch')
  }
  for (const [index, call] of calls.entries()) call.resolve(replies[index])
}

function rejectAll(calls: readonly Call<unknown>[], error: unknown): void {
  for (const { reject } of calls) reject(error)
}
