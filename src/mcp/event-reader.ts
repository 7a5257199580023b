/** Reads the data of server-sent events from the parts of a stream. */
export interface EventReader {
  /** The data of the events that end in this part. */
  read(part: Uint8Array): string[]
}

export function createEventReader(): EventReader {
  const decoder = new TextDecoder()
  let rest = ''
  return {
    read(part) {
      const events = (rest + decoder.decode(part, { stream: true })).split(/\r\n\r\n|\n\n|\r\r(?!\n)/)
      rest = events.pop() ?? ''
      return events.map(dataOf).filter((data) => data !== '')
    },
  }
}

/** HTML Living Standard, section 9.2.6: the values of the fields `data`, joined by line feeds. */
function dataOf(event: string): string {
  const lines = event.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'))
  return lines.map((line) => line.slice(line[5] === ' ' ? 6 : 5)).join('\n')
}
