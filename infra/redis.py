"""How does this process talk to Redis or Valkey? Over one pool of connections, none of them trusted for long."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

CONNECTIONS = 32
_CONNECT_TIMEOUT_S = 3.0
_ANSWER_TIMEOUT_S = 5.0
_POOL_TIMEOUT_S = 5.0
_HEALTH_CHECK_INTERVAL_S = 15
_RETRIES = 2
_BACKOFF_S = (0.05, 0.5)  # first and longest pause


def open_redis(url: str, *, connections: int = CONNECTIONS) -> Redis:
    """A client of `redis://`, `rediss://` or `unix://`, for all tasks of a process; end it with `aclose()`.

    Connects when it is first used. Every command has a deadline and raises `redis.exceptions.RedisError` when the
    server stays away. A command whose connection broke is sent again, so it may be done twice: use such as bear it.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=_POOL_TIMEOUT_S,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=_ANSWER_TIMEOUT_S,
        health_check_interval=_HEALTH_CHECK_INTERVAL_S,
        retry=Retry(ExponentialWithJitterBackoff(base=_BACKOFF_S[0], cap=_BACKOFF_S[1]), _RETRIES),
        retry_on_error=[RedisConnectionError],
    )
    return Redis.from_pool(pool)
