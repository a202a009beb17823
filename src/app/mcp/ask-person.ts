/** How the person at the client is asked. */
import type { Server } from '@modelcontextprotocol/sdk/server/index.js'
import type { Ask } from './approval.ts'

/** Asks the person at the client (MCP elicitation), if the client can. */
export function askOf(server: Server): Ask {
  if (server.getClientCapabilities()?.elicitation === undefined) return undefined
  return async (question) => {
    const answer = await server.elicitInput({
      message: question,
      requestedSchema: {
        type: 'object',
        properties: { approve: { type: 'boolean', title: 'Pay', description: question } },
        required: ['approve'],
      },
    })
    return answer.action === 'accept' && answer.content?.['approve'] === true
  }
}
