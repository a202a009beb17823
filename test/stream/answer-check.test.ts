/** What counts as an answer, and what as an error, whatever its form. */
import { describe, expect, test } from 'vitest'
import { judgeJsonAnswer } from '../../src/core/stream/answer-check.ts'
import { errorIn, isNothing, likelyErrorIn } from '../../src/core/stream/error-signs.ts'

const judge = (body: string, endpoint = '/chat/completions') => judgeJsonAnswer(endpoint, Buffer.from(body))

describe('a whole JSON body that is no answer', () => {
  test.each([
    ['{}'],
    [' { } '],
    ['null'],
    ['[]'],
    ['""'],
    ['"null"'],
    ['false'],
    ['0'],
    [''],
    ['{"choices":[]}'],
    ['{"choices":null}'],
    ['{"choices":[{}]}'],
    ['{"choices":[null],"usage":{"total_tokens":0}}'],
    ['{"id":"x","object":"chat.completion","choices":[],"usage":{"prompt_tokens":3}}'],
    ['{"choices":[{"message":null}]}'],
    ['{"choices":[{"index":0,"text":null,"finish_reason":null}]}'],
    ['{"id":"x","model":"m","object":"chat.completion"}'],
    ['{"message":{},"created":1}'],
    ['{"x402Version":2}'],
    ['[null]'],
    ['[{}]'],
  ])('has nothing in it: %s', (body) => {
    expect(judge(body)).toEqual({ what: 'nothing' })
  })

  test.each([
    ['{"output":[]}', '/responses'],
    ['{"output":null}', '/responses'],
    ['{"content":[]}', '/messages'],
    ['{"content":null,"stop_reason":null}', '/messages'],
    ['{"choices":[]}', '/completions'],
    ['{"object":"list","data":[]}', '/embeddings'],
    ['{"created":1,"data":[]}', '/images/generations'],
    ['{"data":null}', '/images/edits'],
    ['{"data":[{}]}', '/embeddings'],
    ['{"results":[null]}', '/moderations'],
    ['{"output":[{}]}', '/responses'],
    ['{"content":[{}]}', '/messages'],
    ['{"results":[]}', '/moderations'],
    ['{}', '/audio/transcriptions'],
  ])('has nothing in it: %s of %s', (body, endpoint) => {
    expect(judge(body, endpoint)).toEqual({ what: 'nothing' })
  })

  test.each([
    ['<html><body>Bad gateway</body></html>'],
    ['\n<!DOCTYPE html><p>'],
    ['<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'],
    ['<center>503</center>'],
  ])('is a web page: %s', (body) => {
    for (const endpoint of ['/chat/completions', '/embeddings', '/audio/speech']) {
      expect(judge(body, endpoint)).toEqual({ what: 'a web page' })
    }
  })

  test.each([
    ['{"x402Version":1,"error":"pay first","accepts":[{"scheme":"exact"}]}', 'pay first'],
    ['{"x402Version":2,"accepts":[],"resource":{}}', 'asked for another payment'],
    ['{"detail":{"x402Version":1,"accepts":[{}]}}', 'asked for another payment'],
    ['{"data":{"x402Version":2,"accepts":[{}]}}', 'asked for another payment'],
    ['{"paymentRequired":{"x402Version":2,"accepts":[]}}', 'asked for another payment'],
  ])('asks for another payment: %s', (body, message) => {
    expect(judge(body)).toEqual({ what: 'another demand for payment', message })
  })

  test.each([
    ['{"error":{"message":"down"}}', 'down'],
    ['{"error":"down"}', 'down'],
    ['{"error":true,"message":"down"}', 'down'],
    ['{"error":{"code":502,"metadata":{"raw":"x"}}}', '502'],
    ['{"errors":[{"code":7003,"message":"down"}],"result":null}', 'down'],
    ['{"object":"error","message":"down","type":"BadRequestError","param":null,"code":400}', 'down'],
    ['{"type":"error","error":{"type":"overloaded_error","message":"down"}}', 'down'],
    ['{"base_resp":{"status_code":1008,"status_msg":"down"},"choices":null}', 'down'],
    ['{"base_resp":{"status_code":1004},"choices":[]}', 'error'],
    ['{"detail":"down"}', 'down'],
    ['{"detail":[{"loc":["body"],"msg":"down","type":"missing"}]}', 'down'],
    ['{"detail":{"error":"down"}}', 'down'],
    ['{"success":false,"message":"down"}', 'down'],
    ['{"success":false}', 'error'],
    ['{"success":false,"data":{"retry":true},"msg":"down"}', 'down'],
    ['{"ok":false,"error_description":"down","description":"down"}', 'down'],
    ['{"status":"error","message":"down"}', 'down'],
    ['{"code":500,"msg":"down","data":null}', 'down'],
    ['{"code":"InvalidApiKey","message":"down","request_id":"1"}', 'down'],
    ['{"error_code":336003,"error_msg":"down"}', 'down'],
    ['{"errorMessage":"down","errorType":"Runtime"}', 'down'],
    ['{"message":"down"}', 'down'],
    ['{"Message":"down"}', 'down'],
    ['{"errors":{"message":"down"}}', 'down'],
    ['{"errors":"down"}', 'down'],
    ['{"error_message":"down"}', 'down'],
    ['{"err":"down","n":1}', 'down'],
    ['{"Error":{"Code":"x","Message":"down"}}', 'down'],
    ['{"ResponseMetadata":{"Error":{"Code":"x","Message":"down"}}}', 'down'],
    ['{"fault":{"faultstring":"down"}}', 'down'],
    ['{"errcode":40001,"errmsg":"down"}', 'down'],
    ['{"exception":"down"}', 'down'],
    ['{"exception":{"type":"ValueError","message":"down"}}', 'down'],
    ['{"exc":"down","traceback":"File a.py"}', 'down'],
    ['{"traceback":"down"}', 'down'],
    ['{"failure":{"reason":"down"}}', 'down'],
    ['{"statusCode":503}', '503'],
    ['{"code":"insufficient_balance"}', 'insufficient_balance'],
    ['{"type":"about:blank","title":"down","status":503}', 'down'],
    ['[{"error":{"code":503,"message":"down","status":"UNAVAILABLE"}}]', 'down'],
    ['{"choices":[],"error":{"message":"down"}}', 'down'],
    [
      '{"choices":[{"error":{"code":502,"message":"down"},"message":{"role":"assistant","content":""}}]}',
      'down',
    ],
    ['{"choices":[{"message":{"content":""},"finish_reason":"error"}]}', 'finish_reason: error'],
    ['{"content":[],"error":"down"}', 'down'],
    [
      '{"choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[]}}],"error":"down"}',
      'down',
    ],
  ])('reports an error: %s', (body, message) => {
    expect(judge(body)).toEqual({ what: 'an error', message })
  })

  test.each([
    [
      '{"object":"response","status":"failed","error":{"code":"server_error","message":"down"},"output":[]}',
      '/responses',
    ],
    ['{"detail":"down"}', '/embeddings'],
    ['{"success":false,"error":"down","data":[]}', '/images/generations'],
    ['{"object":"error","message":"down"}', '/moderations'],
  ])('reports an error: %s of %s', (body, endpoint) => {
    expect(judge(body, endpoint)).toEqual({ what: 'an error', message: 'down' })
  })
})

describe('JSON that no protocol of a model has', () => {
  test.each([
    ['"Once upon a time"', 'Once upon a time'],
    ['\n"Internal Server Error"\n', 'Internal Server Error'],
    ['["model not loaded"]', 'model not loaded'],
    ['[1,"model not loaded",{}]', 'model not loaded'],
  ])('is plain text with the words of the seller: %s', (body, message) => {
    for (const endpoint of ['/chat/completions', '/completions', '/responses', '/messages']) {
      expect(judge(body, endpoint)).toEqual({ what: 'plain text', message })
    }
  })

  test.each([['42'], ['-1.5'], ['true'], ['[1,2]'], ['[[]]'], ['["ok"]'], ['"success"']])(
    'is nothing: %s',
    (body) => {
      expect(judge(body)).toEqual({ what: 'nothing' })
    },
  )

  test('is an answer where an endpoint is not of those protocols', () => {
    expect(judge('"Once upon a time"', '/audio/transcriptions')).toBeUndefined()
  })
})

describe('a strange answer is still one', () => {
  test.each([
    ['{"choices":[{"message":{"content":"yes"}}],"error":{}}'],
    ['{"choices":[{"message":{"content":"yes"}}],"error":{"code":0,"message":""}}'],
    ['{"choices":[{"message":{"content":"yes"}}],"error":{"message":"late"}}'],
    ['{"choices":[{"message":{"content":"yes"}}],"base_resp":{"status_code":1027}}'],
    ['{"choices":[{"message":{"content":"yes"}}],"success":false,"detail":"x"}'],
    ['{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}'],
    ['{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c"}]}}],"error":"x"}'],
    ['{"choices":[{"text":"yes"}],"errors":["x"]}'],
    ['{"error":null,"status":"ok"}'],
    ['{"model":"m","message":{"role":"assistant","content":"hi"},"done":true}'],
    ['{"success":true,"data":{"choices":[{"message":{"content":"hi"}}]}}'],
    ['[{"candidates":[{"content":{"parts":[{"text":"hi"}]}}]}]'],
    ['{"choices":['],
  ])('%s', (body) => {
    expect(judge(body)).toBeUndefined()
  })

  test.each([
    ['{"output":[],"status":"queued","error":null}', '/responses'],
    ['{"output":[],"status":"completed","usage":{"output_tokens":5}}', '/responses'],
    ['{"output":[],"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}', '/responses'],
    ['{"type":"message","content":[],"stop_reason":"end_turn"}', '/messages'],
    ['{"text":""}', '/audio/transcriptions'],
    ['{"message":"hello"}', '/audio/transcriptions'],
    ['{"data":[{"embedding":[0.1]}],"error":"x"}', '/embeddings'],
    ['{"data":[{"embedding":[0,0]}]}', '/embeddings'],
    ['{"output":[],"status":"in_progress","code":"in_progress"}', '/responses'],
    ['{"results":[{"flagged":false}]}', '/moderations'],
  ])('%s of %s', (body, endpoint) => {
    expect(judge(body, endpoint)).toBeUndefined()
  })

  test('also when its list is too long to be read', () => {
    const body = `{"error":"x","choices":[{"message":{"content":"${'y'.repeat(100_000)}"}}]}`
    expect(judge(body)).toBeUndefined()
  })
})

test('an error of nothing but nothing is none, however deep, and a hostile depth is no fault of ours', () => {
  for (const none of [
    null,
    false,
    0,
    '',
    'null',
    'None',
    [],
    {},
    [null],
    { code: 0, message: '' },
    { a: { b: [] } },
  ]) {
    expect(isNothing(none)).toBe(true)
    expect(errorIn({ error: none })).toBeUndefined()
  }
  expect(errorIn({ error: { code: 0, message: 'success' } })).toBeUndefined()
  expect(errorIn({ error: { message: null, type: null, param: null, code: null } })).toBeUndefined()
  const deep: unknown = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`)
  expect(isNothing(deep)).toBe(false)
  expect(errorIn({ error: deep })).toBe('error')
  expect(likelyErrorIn({ status: 'ok', message: 'done' })).toBeUndefined()
  expect(likelyErrorIn({ code: 200, message: 'fine' })).toBeUndefined()
})
