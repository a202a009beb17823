/** What the model says, cut into the pieces it is streamed in. */
export interface Spoken {
  /** One piece per token; joined they are the answer. */
  pieces: string[]
  /** `length` when the client's token limit cut it short. */
  finishReason: 'stop' | 'length'
}

/** The longest part of a question that is quoted back. */
const quotedWords = 24

/**
 * Makes up the answer to a question: always the same for the same question.
 *
 * @param maxTokens - The client's limit; a token is a word here.
 */
export function compose(question: string, maxTokens: number = Infinity): Spoken {
  const words = question.split(/\s+/).filter((word) => word !== '')
  const quoted = words.length > quotedWords ? [...words.slice(0, quotedWords), '…'] : words
  const all = `You asked: “${quoted.join(' ')}” This answer was paid for on a chain of your own.`.split(' ')
  const pieces = all.slice(0, maxTokens).map((word, index) => (index === 0 ? word : ` ${word}`))
  return { pieces, finishReason: all.length > maxTokens ? 'length' : 'stop' }
}
