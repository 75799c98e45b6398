"""What pyproject.toml cannot say: the folder data/ of the repository is part of the package."""

from setuptools import find_packages, setup

BUNDLED = "bradcn_nb.data.bundled"

setup(
    packages=[*find_packages(include=["bradcn_nb*"]), BUNDLED],
    package_dir={BUNDLED: "data"},
    package_data={
        BUNDLED: ["**/*"],
        "bradcn_nb": ["py.typed"],
        "bradcn_nb.figures": ["pages/*"],
        "bradcn_nb.experiments.cards": ["*.md"],
    },
)
