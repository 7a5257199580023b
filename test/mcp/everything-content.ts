import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'

export const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGOoBwAAgQCA05RTSgAAAABJRU5ErkJggg=='
const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQIAAACAgA=='

export const image = { type: 'image' as const, data: PNG, mimeType: 'image/png' }
export const text = (value: string) => ({ type: 'text' as const, text: value })
export const embedded = (uri: string, mimeType: string, content: string) => ({
  type: 'resource' as const,
  resource: { uri, mimeType, text: content },
})

/** Tools that answer with fixed content. */
export const FIXED: Record<string, CallToolResult['content']> = {
  test_simple_text: [text('Plain text.')],
  test_image_content: [image],
  test_audio_content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }],
  test_embedded_resource: [embedded('test://embedded-resource', 'text/plain', 'Embedded text.')],
  test_multiple_content_types: [
    text('Several kinds.'),
    image,
    embedded('test://mixed-content-resource', 'application/json', '{"test":"data"}'),
  ],
}
