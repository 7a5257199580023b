import type { MaybePromise } from '../lib/promise.js'

/** The content of a request, as its framework has read it. For the rules of a handler. */
export interface RequestContent {
  /** With the query that the handler reads. */
  readonly url: string
  /** The parsed body. Undefined where no parser has read one. */
  readonly body: () => unknown
  /** The bytes of the content, or text that was decoded from them. Undefined where nothing has kept them. */
  readonly bytes: () => MaybePromise<Uint8Array | string | undefined>
  /** The member in which the bytes are expected, for the operator. */
  readonly keptIn: string
  /** The value of a field, several of one name joined by commas. Names in lower case. */
  readonly field: (name: string) => string | undefined
}

/** The media type of the content without parameters, in lower case. */
export function mediaTypeOf({ field }: Pick<RequestContent, 'field'>): string {
  return (field('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

export function isJsonType(mediaType: string): boolean {
  return /^application\/([^/\s]+\+)?json$/.test(mediaType)
}

export function isFormType(mediaType: string): boolean {
  return mediaType === 'application/x-www-form-urlencoded' || mediaType === 'multipart/form-data'
}

/** Whether the fields of a request announce content (RFC 9112 section 6). */
export function announcesContent({ field }: Pick<RequestContent, 'field'>): boolean {
  const length = field('content-length')
  return field('transfer-encoding') !== undefined || (length !== undefined && length !== '0')
}

/** Whether the content is text in another charset than UTF-8. */
export function isInOtherCharset({ field }: Pick<RequestContent, 'field'>): boolean {
  const parameters = (field('content-type') ?? '').split(';').slice(1)
  return parameters.some((parameter) => {
    const [name = '', value = ''] = parameter.split('=')
    if (name.trim().toLowerCase() !== 'charset') return false
    return !/^"?(utf-?8|us-ascii)"?$/i.test(value.trim())
  })
}
