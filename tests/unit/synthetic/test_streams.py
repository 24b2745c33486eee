from pipelines.synthetic.streams import Streams


def test_a_stream_depends_on_seed_purpose_and_wave_only() -> None:
    streams = Streams(5)
    first = streams.of("scope", 2022).random(4).tolist()
    streams.of("employment", 2022).random(1000)
    assert streams.of("scope", 2022).random(4).tolist() == first
    assert Streams(5).of("scope", 2022).random(4).tolist() == first
    others = [Streams(6).of("scope", 2022), streams.of("scope", 2023), streams.of("employment", 2022)]
    assert all(other.random(4).tolist() != first for other in others)
