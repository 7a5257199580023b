import { EventEmitter } from 'node:events'
import type { RedisClient } from '../../../src/stores/redis/index.js'

export const INFO = 'run_id:1\r\nrole:master\r\nuptime_in_seconds:3600\r\nmaxmemory_policy:noeviction\r\n'

/** A client in the shape of ioredis that answers INFO, and everything else with what `reply` gives. */
export function fakeClient(reply: () => Promise<unknown>, info = async () => INFO) {
  const calls: string[][] = []
  const events = new EventEmitter()
  const client = {
    status: 'ready',
    on: (event: string, listener: () => void) => events.on(event, listener),
    duplicate: () => client,
    connect: async () => {},
    disconnect: () => {},
    call(...args: string[]) {
      if (args[0] === 'INFO') return info()
      calls.push(args)
      return reply()
    },
  }
  return { client: client as RedisClient, calls, emit: (event: string) => events.emit(event) }
}
