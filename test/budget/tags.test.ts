import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { tagsOf } from '../../src/core/budget/tags.ts'

const OPTIONS = {
  header: 'x-tollway-tags',
  declared: ['team:a', 'team:b', 'agent:main', 'session:s1', 'Case'],
}
const tags = (text: string, more: Record<string, string> = {}): string[] =>
  tagsOf({ 'x-tollway-tags': text, ...more }, OPTIONS)

test('declared tags are kept in order, without duplicates', () => {
  expect(tags('team:b, team:a,team:b')).toEqual(['team:b', 'team:a'])
  expect(tags('  team:a  ,, ')).toEqual(['team:a'])
})

test('everything else is other, once: undeclared, malformed, in another case', () => {
  expect(tags('team:c, team:d')).toEqual(['other'])
  expect(tags('team:a, nobody')).toEqual(['team:a', 'other'])
  expect(tags('case')).toEqual(['other'])
  expect(tags('team:a;team:b')).toEqual(['other'])
  expect(tags('__proto__, constructor')).toEqual(['other'])
  expect(tags('x'.repeat(100_000))).toEqual(['other'])
})

test('a request without tags is other, so omitting tags evades no budget', () => {
  expect(tagsOf({}, OPTIONS)).toEqual(['other'])
  expect(tags('')).toEqual(['other'])
  expect(tags(' , ')).toEqual(['other'])
})

test('the eleventh tag and any further one is other', () => {
  const ten = Array.from({ length: 10 }, (_, n) => `t${n}`)
  const options = { header: 'x-tags', declared: [...ten, 'last'] }
  expect(tagsOf({ 'x-tags': [...ten, 'last'].join(',') }, options)).toEqual([...ten, 'other'])
  expect(tagsOf({ 'x-tags': [...ten.slice(1), 'last'].join(',') }, options)).toEqual([
    ...ten.slice(1),
    'last',
  ])
})

test("OpenClaw's agent and session are tags too, and other tags cannot crowd them out", () => {
  expect(tagsOf({ 'x-clawrouter-agent-id': 'main', 'x-clawrouter-session-id': 's1' }, OPTIONS)).toEqual([
    'agent:main',
    'session:s1',
  ])
  expect(tagsOf({ 'x-clawrouter-agent-id': 'stranger' }, OPTIONS)).toEqual(['other'])
  expect(tags('team:a', { 'x-clawrouter-agent-id': 'main' })).toEqual(['agent:main', 'team:a'])
  const long = Array.from({ length: 20 }, () => 'team:b').join(',')
  expect(tags(long, { 'x-clawrouter-agent-id': 'main' })).toEqual(['agent:main', 'team:b', 'other'])
})

test('the header is the one that is configured', () => {
  expect(
    tagsOf({ 'x-team': 'team:a', 'x-tollway-tags': 'team:b' }, { ...OPTIONS, header: 'x-team' }),
  ).toEqual(['team:a'])
})

test('for any headers the subjects are declared tags or other, unique, and at least one', () => {
  const words = fc.oneof(fc.string(), fc.constantFrom(...OPTIONS.declared, 'other', '*', ','))
  fc.assert(
    fc.property(fc.array(words), fc.string(), (list, agent) => {
      const found = tags(list.join(','), { 'x-clawrouter-agent-id': agent })
      expect(found.length).toBeGreaterThan(0)
      expect(new Set(found).size).toBe(found.length)
      for (const tag of found) expect([...OPTIONS.declared, 'other']).toContain(tag)
    }),
  )
})

test('tags of an open kind need no declaration; other kinds and empty values stay other', () => {
  const open = { header: 'x-tags', declared: ['team:a'], open: ['session', 'agent'] }
  const of = (text: string, more: Record<string, string> = {}): string[] =>
    tagsOf({ 'x-tags': text, ...more }, open)
  expect(of('session:one, session:two, team:a')).toEqual(['session:one', 'session:two', 'team:a'])
  expect(of('session:, session, sessions:x, project:y')).toEqual(['other'])
  expect(of('', { 'x-clawrouter-session-id': 'abc' })).toEqual(['session:abc'])
  expect(of(`session:${'x'.repeat(100)}`)).toEqual(['other'])
})

test("other clients' session headers name the session where that kind is open, one of them", () => {
  const open = { header: 'x-tags', declared: [], open: ['session'] }
  expect(tagsOf({ 'x-claude-code-session-id': 'c1' }, open)).toEqual(['session:c1'])
  expect(tagsOf({ 'x-claude-code-session-id': 'c1', 'session-id': 's2' }, open)).toEqual(['session:c1'])
  expect(tagsOf({ 'x-clawrouter-session-id': 'o1', 'session-id': 's2' }, open)).toEqual(['session:o1'])
  expect(tagsOf({ 'x-clawrouter-project-id': 'p' }, open)).toEqual(['other'])
  expect(tagsOf({ 'session-id': 's2' }, { ...open, open: [] })).toEqual(['other'])
})
