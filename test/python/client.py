"""One call by one of Python's own clients, as its users write it: client.py CLIENT, a JSON object on stdin, a JSON object on stdout.

In:  url, key, model, prompt, how ("whole", "stream", "tools", "schema", "leave").
Out: text, cost, reason; or error with its status and class.
"""

import asyncio
import json
import sys

TOOL = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SCHEMA = {
    "type": "object",
    "properties": {"word": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["word", "count"],
    "additionalProperties": False,
}


def weather(city):
    return f"rain in {city}"


def use_openai(call):
    from openai import OpenAI

    client = OpenAI(base_url=f"{call['url']}/v1", api_key=call["key"])
    messages = [{"role": "user", "content": call["prompt"]}]
    create = client.chat.completions.create
    if call["how"] in ("stream", "leave"):
        text, reason, cost = "", None, None
        stream = create(model=call["model"], messages=messages, stream=True, stream_options={"include_usage": True})
        for chunk in stream:
            if chunk.choices:
                text += chunk.choices[0].delta.content or ""
                reason = chunk.choices[0].finish_reason or reason
            if chunk.usage:
                cost = chunk.usage.model_extra.get("cost")
            if call["how"] == "leave" and text:
                stream.close()
                break
        return {"text": text, "reason": reason, "cost": cost}
    extra = {}
    if call["how"] == "tools":
        extra["tools"] = [{"type": "function", "function": {"name": "get_weather", "parameters": TOOL}}]
    if call["how"] == "schema":
        extra["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    answer = create(model=call["model"], messages=messages, **extra)
    message = answer.choices[0].message
    if message.tool_calls:
        used = message.tool_calls[0]
        result = weather(**json.loads(used.function.arguments))
        messages += [message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": used.id, "content": result}]
        answer = create(model=call["model"], messages=messages, **extra)
    return {"text": answer.choices[0].message.content, "cost": answer.usage.model_extra.get("cost")}


def use_anthropic(call):
    from anthropic import Anthropic

    client = Anthropic(base_url=call["url"], api_key=call["key"])
    messages = [{"role": "user", "content": call["prompt"]}]
    asked = {"model": call["model"], "max_tokens": 100}
    if call["how"] in ("stream", "leave"):
        text = ""
        with client.messages.stream(messages=messages, **asked) as stream:
            for piece in stream.text_stream:
                text += piece
                if call["how"] == "leave":
                    return {"text": text}
            final = stream.get_final_message()
        return {"text": text, "reason": final.stop_reason, "cost": final.usage.model_extra.get("cost")}
    if call["how"] == "tools":
        asked["tools"] = [{"name": "get_weather", "input_schema": TOOL}]
    answer = client.messages.create(messages=messages, **asked)
    used = next((block for block in answer.content if block.type == "tool_use"), None)
    if used:
        result = {"type": "tool_result", "tool_use_id": used.id, "content": weather(**used.input)}
        messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
        answer = client.messages.create(messages=messages, **asked)
    text = "".join(block.text for block in answer.content if block.type == "text")
    return {"text": text, "cost": answer.usage.model_extra.get("cost")}


def use_langchain(call):
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(model=call["model"], base_url=f"{call['url']}/v1", api_key=call["key"])
    if call["how"] in ("stream", "leave"):
        text, reason = "", None
        for chunk in chat.stream(call["prompt"]):
            text += chunk.text
            reason = chunk.response_metadata.get("finish_reason", reason)
            if call["how"] == "leave" and text:
                break
        return {"text": text, "reason": reason}
    if call["how"] == "schema":
        return {"text": json.dumps(chat.with_structured_output({"title": "answer", **SCHEMA}).invoke(call["prompt"]))}
    if call["how"] == "tools":
        tool = {"type": "function", "function": {"name": "get_weather", "parameters": TOOL}}
        bound = chat.bind_tools([tool])
        first = bound.invoke(call["prompt"])
        used = first.tool_calls[0]
        told = {"role": "tool", "tool_call_id": used["id"], "content": weather(**used["args"])}
        return {"text": bound.invoke([{"role": "user", "content": call["prompt"]}, first, told]).text}
    answer = chat.invoke(call["prompt"])
    return {"text": answer.text, "cost": answer.response_metadata["token_usage"].get("cost")}


def use_litellm(call):
    import litellm

    litellm.suppress_debug_info = True
    asked = {
        "model": f"openai/{call['model']}",
        "api_base": f"{call['url']}/v1",
        "api_key": call["key"],
        "messages": [{"role": "user", "content": call["prompt"]}],
    }
    if call["how"] in ("stream", "leave"):
        text, reason = "", None
        for chunk in litellm.completion(stream=True, **asked):
            if chunk.choices:
                text += chunk.choices[0].delta.content or ""
                reason = chunk.choices[0].finish_reason or reason
            if call["how"] == "leave" and text:
                break
        return {"text": text, "reason": reason}
    if call["how"] == "schema":
        asked["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    if call["how"] == "tools":
        asked["tools"] = [{"type": "function", "function": {"name": "get_weather", "parameters": TOOL}}]
    answer = litellm.completion(**asked)
    message = answer.choices[0].message
    if message.tool_calls:
        used = message.tool_calls[0]
        result = weather(**json.loads(used.function.arguments))
        asked["messages"] += [message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": used.id, "content": result}]
        answer = litellm.completion(**asked)
    return {"text": answer.choices[0].message.content, "cost": litellm.completion_cost(answer)}


def use_pydantic_ai(call):
    from pydantic import BaseModel
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    class Answer(BaseModel):
        word: str
        count: int

    provider = OpenAIProvider(base_url=f"{call['url']}/v1", api_key=call["key"])
    model = OpenAIChatModel(call["model"], provider=provider)
    if call["how"] == "schema":
        from pydantic_ai import NativeOutput

        output = Agent(model, output_type=NativeOutput(Answer)).run_sync(call["prompt"]).output
        return {"text": output.model_dump_json()}
    agent = Agent(model)
    if call["how"] == "tools":

        @agent.tool_plain
        def get_weather(city: str) -> str:
            return weather(city)

    if call["how"] in ("stream", "leave"):

        async def stream():
            async with agent.run_stream(call["prompt"]) as result:
                async for text in result.stream_text():
                    if call["how"] == "leave":
                        return text
                return text

        return {"text": asyncio.run(stream())}
    return {"text": agent.run_sync(call["prompt"]).output}


CLIENTS = {
    "openai": use_openai,
    "anthropic": use_anthropic,
    "langchain": use_langchain,
    "litellm": use_litellm,
    "pydantic-ai": use_pydantic_ai,
}


def statuses(error):
    while error is not None:
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__
    return None


def main():
    client = CLIENTS[sys.argv[1]]
    # One process makes many calls: the imports take seconds.
    for line in sys.stdin:
        try:
            result = client(json.loads(line))
        except Exception as error:  # what a user would catch
            result = {"error": type(error).__name__, "status": statuses(error), "message": str(error)[:500]}
        print(json.dumps(result), flush=True)


main()
