const { entries } = require('./entries.json')

test.each(entries)('loads %s', (entry) => {
  expect(Object.keys(require(entry)).length).toBeGreaterThan(0)
})
