"""Which views an event of which kind of stream concerns."""

from typing import Final

from projections.attendance_view import ATTENDANCE
from projections.campaign_view import BULLETINS, CAMPAIGNS
from projections.class_view import CLASSES
from projections.institution_view import INSTITUTIONS
from projections.person_view import PERSONS
from projections.quota_view import QUOTAS
from projections.restriction_view import RESTRICTIONS
from projections.rows import View
from projections.trainee_view import TRAINEES
from projections.training_days_view import TRAINING_DAYS

VIEWS_BY_KIND: Final[dict[str, tuple[View, ...]]] = {
    "trainee": (TRAINEES,),
    "class": (CLASSES,),
    "attendance": (ATTENDANCE,),
    "restriction": (RESTRICTIONS,),
    "institution": (INSTITUTIONS,),
    "quota": (QUOTAS,),
    "campaign": (CAMPAIGNS, BULLETINS),
    "bulletin": (BULLETINS,),
    "training-days": (TRAINING_DAYS,),
    "person": (PERSONS,),
}

ALL_VIEWS: Final[tuple[View, ...]] = tuple(
    {view.table: view for views in VIEWS_BY_KIND.values() for view in views}.values()
)
