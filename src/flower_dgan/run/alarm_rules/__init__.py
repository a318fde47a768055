"""The rules of the alarms: functions of what is known of a training and of one event; thresholds are beside them."""

from flower_dgan.run.alarm_rules.finding import Finding, Known, Rule
from flower_dgan.run.alarm_rules.of_clients import finite, missing
from flower_dgan.run.alarm_rules.of_discriminators import discriminators
from flower_dgan.run.alarm_rules.of_feedback import feedback, label_maps
from flower_dgan.run.alarm_rules.of_pictures import collapse, looks, sites

__all__ = ["RULES", "Finding", "Known"]

RULES: tuple[Rule, ...] = (discriminators, collapse, sites, looks, feedback, label_maps, finite, missing)
