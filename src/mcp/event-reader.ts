/** Reads the data of server-sent events from the parts of a stream. */
export interface EventReader {
  /** The data of the events that end in this part. */
  read(part: Uint8Array): string[]
}

/** HTML Living Standard, section 9.2.5: an event ends with an empty line. */
const LINE_END = /\r\n|\n|\r(?!\n)/
const EVENT_END = new RegExp(`(?:${LINE_END.source}){2}`)
/** The longest text that is the beginning of an end. */
const END_LENGTH = 3

export function createEventReader(): EventReader {
  const decoder = new TextDecoder()
  /** Of an event that has not ended. Joined once it has: a long event comes in many parts. */
  let pending: string[] = []
  let tail = ''
  return {
    read(part) {
      const text = decoder.decode(part, { stream: true })
      pending.push(text)
      tail += text
      if (!EVENT_END.test(tail)) {
        tail = tail.slice(-END_LENGTH)
        return []
      }
      const events = pending.join('').split(EVENT_END)
      const rest = events.pop() ?? ''
      pending = [rest]
      tail = rest.slice(-END_LENGTH)
      return events.map(dataOf).filter((data) => data !== '')
    },
  }
}

/** The values of the fields `data`, joined by line feeds. */
function dataOf(event: string): string {
  const lines = event.split(LINE_END).filter((line) => line.startsWith('data:'))
  return lines.map((line) => line.slice(line[5] === ' ' ? 6 : 5)).join('\n')
}
