// Callers with keys and token limits, and an audit file, in front of an upstream that is paid by its own key.
import express from 'express'
import {
  auditLogger,
  caller,
  callerLimits,
  errorHandler,
  exchangeOf,
  hashKey,
  originGuard,
  readBody,
  restream,
} from 'tollway/middleware'

const UPSTREAM = process.env.UPSTREAM ?? 'https://api.openai.com/v1'

const app = express()
app.use(auditLogger({ path: './audit.jsonl' }), originGuard())
app.use(
  caller({
    callers: [
      // Keep the digest (hashKey) in your configuration, never the key.
      { id: 'ann', keyDigest: hashKey('key-of-ann'), limits: { tokensPerMinute: 50_000, parallel: 4 } },
      { id: 'ci', keyDigest: hashKey('key-of-ci'), limits: { requestsPerMinute: 1 } },
    ],
  }),
)
app.use(callerLimits(), readBody())

app.post('/v1/chat/completions', async (req, res, next) => {
  try {
    const answer = await fetch(`${UPSTREAM}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${process.env.UPSTREAM_KEY}` },
      body: exchangeOf(req).request.body,
    })
    await restream(res, answer)
  } catch (error) {
    next(error)
  }
})

app.use(errorHandler())
app.listen(process.env.PORT ?? 8402, '127.0.0.1')
