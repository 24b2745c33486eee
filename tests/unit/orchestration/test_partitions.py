from datetime import UTC, datetime

from pipelines.orchestration.partitions import wave_partitions


def test_a_wave_is_there_from_the_first_day_of_its_year() -> None:
    waves = wave_partitions(2021)
    assert waves.get_partition_keys(current_time=datetime(2023, 1, 1, tzinfo=UTC)) == ["2021", "2022", "2023"]
    # A wave is delivered during its own year; the next one cannot be run by mistake
    assert waves.get_partition_keys(current_time=datetime(2023, 12, 31, 23, tzinfo=UTC)) == ["2021", "2022", "2023"]
