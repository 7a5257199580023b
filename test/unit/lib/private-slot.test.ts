import { describe, expect, it } from 'vitest'
import { createPrivateSlot } from '../../../src/lib/private-slot.js'

describe('a private slot', () => {
  const slot = createPrivateSlot<string>()

  it('holds a value for an object that is frozen since', () => {
    const grant = Object.freeze(slot.addTo({ scope: 'read' }))
    expect(slot.get(grant)).toBeUndefined()
    slot.set(grant, 'request 1')
    expect(slot.get(grant)).toBe('request 1')
  })

  it('leaves the object as it is to everybody else', () => {
    const grant = slot.addTo({ scope: 'read' })
    slot.set(grant, 'request 1')
    expect(grant).toStrictEqual({ scope: 'read' })
    expect(Reflect.ownKeys(grant)).toEqual(['scope'])
    expect(Object.getPrototypeOf(grant)).toBe(Object.prototype)
    expect(structuredClone(grant)).toStrictEqual({ scope: 'read' })
  })

  it('is not copied with the object, and no other slot reads it', () => {
    const grant = slot.addTo({ scope: 'read' })
    slot.set(grant, 'request 1')
    for (const copy of [{ ...grant }, Object.create(grant), structuredClone(grant), new Proxy(grant, {})]) {
      slot.set(copy, 'request 2')
      expect(slot.get(copy)).toBeUndefined()
    }
    expect(createPrivateSlot<string>().get(grant)).toBeUndefined()
    expect(slot.get(grant)).toBe('request 1')
  })
})
