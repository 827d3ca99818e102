# What is public, by what it is for. `__init__.py` imports each name when it is asked for.

# A model, and functions of its own with their bounds.
from .models import MODELS as MODELS, Model as Model, register as register
from .models.functions import named as named
from .harness.numerics import Example as Example, Unstated as Unstated, bound as bound
from .harness.numerics.containment import check_containment as check_containment
from .harness.numerics.containment import check_stacks as check_stacks

# A case.
from .harness.cases.case import Case as Case, SavedCase as SavedCase, load as load, save as save
from .harness.cases.random_cases import random_batch as random_batch, random_case as random_case
from .harness.shrinking.minimal import minimal as minimal

# A subject, and what it states.
from .harness.subjects import Subject as Subject
from .harness.subjects.executable import Executable as Executable
from .harness.subjects.float32 import Float32 as Float32
from .harness.numerics import Accuracy as Accuracy, Arithmetic as Arithmetic
from .harness.numerics import arithmetic as arithmetic

# A port that is a function, as a test; and any function within its bounds.
from .harness.checking.port import port as port
from .harness.checking.assertion import assert_within_bounds as assert_within_bounds
from .harness.checking.assertion import UndecidedWarning as UndecidedWarning

# A verdict.
from .harness.checking.check import Checker as Checker
from .harness.checking.verdicts import verdict_on as verdict_on
from .harness.judging.failure import Failure as Failure
from .harness.judging.tally import Tally as Tally
from .harness.judging.verdict import AGREE as AGREE, DISAGREE as DISAGREE
from .harness.judging.verdict import KNOWN as KNOWN, UNDECIDED as UNDECIDED, Verdict as Verdict

# What goes wrong.
from .harness.errors import OracleError as OracleError, SubjectError as SubjectError
from .harness.errors import UserError as UserError
