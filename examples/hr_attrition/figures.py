"""The figures that sample clients are drawn from: shares and deciles measured on the public HR attrition data.

No row of that data is in here. Shares need not sum to exactly 1: `cumulative` scales them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]


def _table(text: str) -> Table:
    return np.array([[float(word) for word in line.split()] for line in text.strip().splitlines()])


def _row(text: str) -> Table:
    return np.array([float(word) for word in text.split()])


# Share of each age, 18 to 60 years.
AGE = _row("""
.005 .006 .007 .009 .011 .010 .018 .018 .027 .033 .033 .046 .041 .047 .041 .039 .052 .053 .047 .034
.039 .029 .039 .027 .031 .022 .022 .028 .022 .016 .013 .016 .020 .013 .012 .013 .012 .015 .010 .003
.010 .007 .003
""")

# Upper edges, inclusive, of the bands that the tables below have a row for; the last band is open.
AGE_BANDS = (25, 30, 35, 40, 45, 50)
CAREER_BANDS = (1, 3, 5, 7, 9, 10, 15, 20, 25)  # years worked in all
TENURE_BANDS = (0, 1, 2, 4, 7, 10, 15)  # years at the company

# Share of education 1 to 5, by age band.
EDUCATION = _table("""
.390 .220 .366 .024 .000
.163 .175 .490 .156 .015
.082 .166 .356 .359 .038
.080 .221 .341 .322 .036
.052 .208 .469 .219 .052
.085 .208 .331 .331 .046
.056 .168 .343 .399 .035
""")

# Share of 0 to 9 earlier companies, by age band.
COMPANIES = _table("""
.146 .707 .049 .024 .016 .016 .016 .008 .008 .008
.186 .529 .034 .046 .027 .049 .038 .030 .027 .034
.178 .434 .076 .093 .064 .029 .041 .032 .023 .029
.130 .239 .123 .123 .138 .043 .058 .080 .025 .040
.099 .250 .109 .146 .156 .057 .057 .047 .042 .036
.031 .154 .177 .177 .146 .062 .062 .077 .077 .038
.070 .084 .189 .189 .147 .049 .063 .091 .056 .063
""")

# Deciles of years worked; for each age band a row for at most one earlier company, and one for more.
CAREER = _table("""
0 1 1 1 1 2 3 4 5 6 7
3 4 4 4 6 6 6 6 6 7 7
0 1 3 5 6 6 7 8 10 10 12
3 5 5 6 6 8 8 9 10 11 12
1 2 4 5 6 8 10 10 10 14 17
3 6 7 8 9 10 10 10 13 15 17
1 5 7 8 9 10 10 16 18 21 22
3 7 8 9 10 11 13 15 17 19 22
1 6 9 10 10 10 14 20 22 23 26
4 7 8 9 10 11 16 18 21 24 26
3 7 9 10 10 14 20 24 28 31 32
4 8 13 16 19 21 23 25 27 29 32
1 4 5 8 12 13 33 34 34 37 40
3 9 12 15 18 22 24 28 31 34 40
""")

# Share of job level 1 to 5, by career band.
JOB_LEVEL = _table("""
1.000 .000 .000 .000 .000
1.000 .000 .000 .000 .000
.623 .377 .000 .000 .000
.621 .379 .000 .000 .000
.332 .503 .156 .010 .000
.198 .550 .243 .010 .000
.152 .560 .283 .005 .000
.141 .544 .302 .013 .000
.000 .000 .211 .459 .330
.000 .000 .163 .500 .337
""")

# Share of each role in alphabetical order, by job level.
JOB_ROLE = _table("""
.000 .061 .368 .000 .000 .000 .431 .000 .140
.146 .024 .105 .000 .169 .000 .107 .436 .013
.202 .028 .014 .055 .206 .128 .005 .362 .000
.085 .000 .000 .443 .094 .245 .000 .132 .000
.000 .000 .000 .623 .000 .377 .000 .000 .000
""")

# Share of each department, by role.
DEPARTMENT = _table("""
.000 1.000 .000
1.000 .000 .000
.000 1.000 .000
.108 .529 .363
.000 1.000 .000
.000 1.000 .000
.000 1.000 .000
.000 .000 1.000
.000 .000 1.000
""")

# Share of each field of education, by department.
EDUCATION_FIELD = _table("""
.429 .254 .000 .206 .048 .063
.000 .458 .000 .378 .067 .098
.000 .336 .357 .197 .034 .076
""")

# Pay differs by track: 0 junior, 1 senior, 2 management; one track for each role.
TRACK = np.array([1, 0, 0, 2, 1, 2, 0, 1, 0])
# The row of INCOME by job level and track; a pair that does not occur takes its neighbour's.
INCOME_ROW = np.array([[0, 0, 0], [1, 2, 2], [3, 4, 5], [6, 6, 7], [8, 8, 8]])

# Deciles of monthly income.
INCOME = _table("""
1010 2060 2220 2350 2510 2670 2810 3000 3420 3830 4970
2040 2980 3680 4190 4450 4790 5130 5420 5750 6320 6960
4000 4300 4590 4900 5240 5470 5810 6270 6640 7550 10000
5210 5210 5380 7990 7990 8840 9760 9950 9950 10480 10720
7000 7440 7820 8380 8820 9430 9980 10270 10480 10790 11000
11030 11420 11690 11920 11990 12490 13210 13460 13550 13610 13760
11100 12030 12940 13140 13240 13340 13500 13700 13760 13870 13970
14030 14810 15970 16290 16600 16790 16880 17160 17430 17650 17920
18040 18300 18740 19040 19140 19230 19410 19540 19640 19840 20000
""")

# Deciles of tenure as a share of the career, by career band, for those with two companies or more.
TENURE = _table("""
.000 .000 .000 .000 .000 .000 .000 .000 .000 .000 .000
.000 .000 .000 .000 .330 .330 .330 .330 .330 .330 .330
.000 .000 .200 .250 .400 .500 .500 .500 .600 .600 .600
.000 .140 .290 .290 .330 .430 .500 .570 .670 .710 .710
.000 .120 .250 .330 .440 .500 .560 .620 .670 .750 .780
.000 .100 .300 .300 .500 .500 .600 .700 .800 .800 .800
.000 .080 .270 .360 .450 .500 .580 .690 .730 .830 .870
.000 .060 .060 .160 .220 .280 .410 .530 .690 .840 .900
.000 .050 .090 .170 .240 .350 .570 .790 .830 .910 .920
.030 .080 .150 .180 .220 .280 .320 .500 .690 .850 .940
""")

# Deciles of years in the current role, by tenure band.
ROLE_YEARS = _table("""
0 0 0 0 0 0 0 0 0 0 0
0 0 0 0 0 0 0 0 0 0 1
0 1 2 2 2 2 2 2 2 2 2
0 2 2 2 2 2 2 2 3 3 3
0 2 2 3 3 4 4 4 5 7 7
0 2 4 7 7 7 7 8 8 9 9
1 7 8 8 9 9 10 10 11 12 14
0 6 7 7 8 9 10 11 14 15 18
""")

# Deciles of years since the last promotion, by tenure band.
PROMOTION_YEARS = _table("""
0 0 0 0 0 0 0 0 0 0 0
0 0 0 0 0 0 0 0 0 0 1
0 0 1 2 2 2 2 2 2 2 2
0 0 0 0 0 1 1 1 1 2 3
0 0 0 0 0 1 1 1 1 4 7
0 0 0 0 1 1 4 6 7 7 9
0 1 2 3 4 4 5 5 6 10 12
0 1 2 3 4 6 11 11 13 14 15
""")

# Deciles of years with the current manager, by tenure band.
MANAGER_YEARS = _table("""
0 0 0 0 0 0 0 0 0 0 0
0 0 0 0 0 0 0 0 0 0 1
0 1 2 2 2 2 2 2 2 2 2
0 1 2 2 2 2 2 2 3 3 3
0 1 2 3 3 3 4 4 5 7 7
0 2 5 7 7 7 7 8 8 8 9
0 7 7 8 8 9 9 10 11 12 13
0 6 7 8 9 9 10 11 13 15 17
""")

# Share of stock option level 0 to 3, by marital status.
STOCK = _table("""
.024 .596 .229 .150
.227 .596 .123 .053
1.000 .000 .000 .000
""")

# Shares of features that depend on no other: categories in alphabetical order, numbers from FIRST_VALUE up.
MARGINALS = {
    "business_travel": _row(".102 .188 .710"),
    "distance_from_home": _row("""
.141 .144 .057 .044 .044 .040 .057 .054 .058 .059 .020 .014 .013 .014 .018 .022 .014 .018 .015 .017
.012 .013 .018 .019 .017 .017 .008 .016 .018
"""),
    "environment_satisfaction": _row(".193 .195 .308 .303"),
    "gender": _row(".400 .600"),
    "job_involvement": _row(".056 .255 .590 .098"),
    "job_satisfaction": _row(".197 .190 .301 .312"),
    "marital_status": _row(".222 .458 .320"),
    "over_time": _row(".717 .283"),
    "percent_salary_hike": _row(".143 .135 .142 .137 .069 .053 .056 .061 .052 .037 .033 .038 .019 .014 .012"),
    "relationship_satisfaction": _row(".188 .206 .312 .294"),
    "training_times_last_year": _row(".037 .048 .372 .334 .084 .081 .044"),
    "work_life_balance": _row(".054 .234 .607 .104"),
}
FIRST_VALUE = {
    "distance_from_home": 1,
    "environment_satisfaction": 1,
    "job_involvement": 1,
    "job_satisfaction": 1,
    "percent_salary_hike": 11,
    "relationship_satisfaction": 1,
    "training_times_last_year": 0,
    "work_life_balance": 1,
}
# Lowest and highest value of features that are spread evenly.
EVEN = {"daily_rate": (102, 1499), "hourly_rate": (30, 100), "monthly_rate": (2094, 26999)}
