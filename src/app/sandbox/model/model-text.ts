/** The model's text, cut into the pieces in which it is streamed. */
export interface Spoken {
  /** One piece per token; joined they form the answer. */
  pieces: string[]
  /** `length` when the client's token limit cut it short. */
  finishReason: 'stop' | 'length'
}

/** Most words of a question that are quoted back. */
const quotedWords = 24

/**
 * Generates the answer to a question: always the same for the same question.
 *
 * @param maxTokens - The client's limit; a token is a word here.
 */
export function compose(question: string, maxTokens: number = Infinity): Spoken {
  const questionWords = question.split(/\s+/).filter((word) => word !== '')
  const quoted =
    questionWords.length > quotedWords ? [...questionWords.slice(0, quotedWords), '…'] : questionWords
  const all = `You asked: “${quoted.join(' ')}” This answer was paid for on a chain of your own.`.split(' ')
  const pieces = all.slice(0, maxTokens).map((word, index) => (index === 0 ? word : ` ${word}`))
  return { pieces, finishReason: all.length > maxTokens ? 'length' : 'stop' }
}
